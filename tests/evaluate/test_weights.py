from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import DataError
from mlkit.evaluate.weights import importance_weights, weighted_error
from tests.evaluate.worlds import assert_close


def test_the_weighted_error_is_that_of_the_target() -> None:
    """Normal inputs shifted by 0.7; a row's error has probability Phi(x), on the target Phi(0.7 / sqrt 2)."""
    from scipy.stats import norm

    truth = norm.cdf(0.7 / np.sqrt(2))
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        source, target = rng.normal(size=(1500, 1)), rng.normal(size=(1500, 1)) + 0.7
        errors = rng.random(1500) < norm.cdf(source[:, 0])
        weights, _ = importance_weights(source, target, seed=seed)
        found.append(weighted_error(errors, weights))
    assert np.mean([one.unweighted for one in found]) == pytest.approx(0.5, abs=0.01)
    # The classifier's penalty shrinks its odds a little: a low bias of a fortieth of the shift is allowed for.
    assert np.mean([one.error.value for one in found]) == pytest.approx(truth, abs=0.015)
    assert np.mean([one.error.low <= truth <= one.error.high for one in found]) >= 0.85


def test_known_weights_are_unbiased_and_covered() -> None:
    from scipy.stats import norm

    truth = norm.cdf(0.7 / np.sqrt(2))
    found = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=600)
        found.append(weighted_error(rng.random(600) < norm.cdf(x), np.exp(0.7 * x - 0.245), most=1e9).error)
    assert_close([one.value for one in found], truth)
    assert 0.9 <= np.mean([one.low <= truth <= one.high for one in found]) <= 0.985


def test_equal_weights_change_nothing() -> None:
    errors = np.random.default_rng(0).random(100) < 0.3
    found = weighted_error(errors, np.full(100, 7.0))
    assert found.error.value == pytest.approx(errors.mean())
    assert found.effective == pytest.approx(100)


def test_sets_that_hardly_overlap_get_no_interval() -> None:
    found = weighted_error(np.arange(100) % 2, np.r_[np.full(95, 1e-9), np.ones(5)], most=1e9)
    assert found.error.low is None
    assert found.effective == pytest.approx(5, abs=1e-3)
    assert any("hardly overlap" in note for note in found.notes)


def test_large_weights_are_cut_and_said_to_be() -> None:
    found = weighted_error(np.r_[np.zeros(99), 1.0], np.r_[np.ones(99), 1000.0])
    assert found.weights.max() / found.weights.min() == pytest.approx(20 * 1099 / 100)
    assert any("were cut at 20" in note for note in found.notes)


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 1.0]])
def test_bad_input_is_refused(weights: list[float]) -> None:
    with pytest.raises(DataError, match="weights do not fit"):
        weighted_error([0.0, 1.0, 0.0], np.array(weights))


def test_form() -> None:
    found = weighted_error(np.arange(100) % 2, np.ones(100))
    assert max(map(len, str(found).splitlines())) <= 80
    assert "weights" not in found.to_dict()
