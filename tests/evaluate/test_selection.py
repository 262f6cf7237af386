from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.selection import bias_corrected, expected_maximum, resplit_check, selection_ceiling
from tests.evaluate.worlds import assert_close


@pytest.mark.parametrize(("looks", "expected"), [(2, 0.5642), (10, 1.5388), (100, 2.5076), (1000, 3.2414)])
def test_c18_the_constants(looks: int, expected: float) -> None:
    assert expected_maximum(looks) == pytest.approx(expected, abs=5e-5)


def test_the_constants_that_are_known_exactly() -> None:
    assert expected_maximum(1) == pytest.approx(0.0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / np.sqrt(np.pi), abs=1e-7)
    assert expected_maximum(3) == pytest.approx(1.5 / np.sqrt(np.pi), abs=1e-7)


def test_c18_the_ceiling() -> None:
    assert selection_ceiling(100, rows=1000, rate=0.8) == pytest.approx(0.0317, abs=5e-5)
    optimism = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        optimism.append(0.2 - rng.binomial(1000, 0.2, 100).min() / 1000)
    assert np.mean(optimism) == pytest.approx(selection_ceiling(100, rows=1000, rate=0.8), rel=0.06)
    assert selection_ceiling(100, rows=1000, spread=0.4) == pytest.approx(selection_ceiling(100, rows=1000, rate=0.8))


def test_c18_the_corrected_score_of_equal_trials_is_unbiased() -> None:
    found = []
    for seed in range(40):
        table = np.random.default_rng(seed).random((100, 1000)) < 0.2
        found.append(bias_corrected(table, times=200, seed=seed))
    assert np.mean([one.naive.value for one in found]) == pytest.approx(0.1683, abs=0.003)
    assert_close([one.corrected.value for one in found], 0.2)
    assert np.mean([one.corrected.low <= 0.2 <= one.corrected.high for one in found]) >= 0.9


def test_a_clear_winner_needs_no_correction() -> None:
    covered, moved = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rates = np.r_[0.1, np.full(19, 0.4)]
        found = bias_corrected(rng.random((20, 300)) < rates[:, None], times=100, seed=seed)
        assert found.best == 0
        moved.append(found.optimism.value)
        covered.append(found.corrected.low <= 0.1 <= found.corrected.high)
    assert abs(np.mean(moved)) < 0.001
    assert np.mean(covered) >= 0.89


def test_trials_that_err_on_the_same_rows_are_flattered_less() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(1000) < 0.2
    table = np.where(rng.random((100, 1000)) < 0.1, rng.random((100, 1000)) < 0.2, same)
    assert bias_corrected(table).optimism.value < 0.6 * bias_corrected(table).ceiling


def test_one_trial_has_no_optimism() -> None:
    found = bias_corrected(np.random.default_rng(1).random((1, 500)) < 0.3)
    assert found.ceiling == pytest.approx(0.0, abs=1e-9)
    assert abs(found.optimism.value) < 0.003


def test_a_new_split_of_equal_sets_alarms_once_in_twenty() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        alarms += resplit_check(rng.random(100), rng.random(150), times=99, seed=seed).gap.resolved
    assert alarms <= 18  # P(more than 18 of 200 at 5 %) = 0.006


def test_choosing_among_trials_explains_its_own_gap() -> None:
    """The best of 50 equal trials on val is worse on test, and so it is in every new split."""
    found = []
    for seed in range(40):
        table = np.random.default_rng(seed).random((50, 600)) < 0.2
        found.append(resplit_check(table[:, :300], table[:, 300:], times=99, seed=seed))
    assert np.mean([one.gap.value for one in found]) > 0.03
    assert np.mean([one.expected for one in found]) == pytest.approx(
        np.mean([one.gap.value for one in found]), abs=0.008
    )
    assert sum(one.gap.resolved for one in found) <= 6  # P(more than 6 of 40 at 5 %) = 0.003


def test_a_model_that_knows_the_labels_of_val_is_found_out() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = resplit_check(rng.random(400) < 0.05, rng.random(400) < 0.2, seed=seed)
        assert found.gap.resolved
        assert "does not come back" in found.verdict()


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="not a table"):
        bias_corrected(np.zeros(30))
    with pytest.raises(DataError, match="not all finite"):
        bias_corrected(np.full((3, 30), np.nan))
    with pytest.raises(DataError, match="not of the same trials"):
        resplit_check(np.zeros((2, 20)), np.zeros((3, 20)))
    with pytest.raises(ConfigError, match="one of rate and spread"):
        selection_ceiling(10, rows=100)
    with pytest.raises(ConfigError, match="too few looks"):
        expected_maximum(0)
    with pytest.raises(ConfigError, match="no such validation set"):
        selection_ceiling(10, rows=100, rate=1.5)


def test_form() -> None:
    rng = np.random.default_rng(2)
    found = bias_corrected(rng.random((10, 100)) < 0.2)
    other = resplit_check(rng.random(100), rng.random(100))
    for one in (found, other):
        assert max(map(len, str(one).splitlines())) <= 80
    assert found.to_dict()["naive"]["value"] == found.naive.value
    assert other.to_dict()["gap"]["value"] == other.gap.value
