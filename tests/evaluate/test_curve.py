from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.evaluate.curve import learning_curve, standard_errors
from tests.evaluate.worlds import histogram, least_squares, linear_data, variance_of_ols


def ols_curve(seed: int, **given: object) -> object:
    rng = np.random.default_rng(seed)
    return learning_curve(
        least_squares, linear_data(rng, 2000, 10), test=linear_data(rng, 3000, 10), loss="squared", seed=seed, **given
    )  # type: ignore[arg-type]


def test_the_errors_are_those_of_least_squares() -> None:
    sizes = [40, 60, 100, 200, 400]
    found = learning_curve(
        least_squares,
        linear_data(np.random.default_rng(0), 2000, 10),
        test=linear_data(np.random.default_rng(1), 20_000, 10),
        loss="squared",
        sizes=sizes,
        seeds=60,
    )
    for n, mean, se in zip(sizes, found.means, found.standard_errors, strict=True):
        assert abs(mean - 1 - variance_of_ols(n, 10)) < 4 * se + 0.03  # 0.03: three standard errors of the test rows


def test_the_forecast_holds_the_truth() -> None:
    """Sizes to 400 of 2,000 rows; twice the rows are then measured by theory."""
    truth = 1 + variance_of_ols(800, 10)
    held = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = learning_curve(
            least_squares,
            linear_data(rng, 2000, 10),
            test=linear_data(rng, 20_000, 10),
            loss="squared",
            sizes=[50, 80, 130, 220, 400],
            seeds=6,
            seed=seed,
        )
        assert found.law.refused is None
        assert found.law.doubled.low is not None
        # The test rows' own noise, common to all sizes, moves the whole curve: 0.01 is one standard error of it.
        held.append(found.law.doubled.low - 0.02 <= truth <= found.law.doubled.high + 0.02)
        assert found.law.gain.value > 0
    assert np.mean(held) >= 0.85


def test_a_learner_that_learns_nothing_gains_nothing() -> None:
    def zero(x: np.ndarray, y: np.ndarray, seed: int) -> object:
        level = 1e-3 * np.random.default_rng(seed).normal()
        return lambda rows: np.full((len(rows), 1), level)

    rng = np.random.default_rng(0)
    data = (np.zeros((640, 1)), rng.normal(size=640))
    found = learning_curve(zero, data, test=data, loss="squared")  # type: ignore[arg-type]
    assert found.sizes == (20, 40, 80, 160, 320, 640)
    assert not found.law.gain.resolved
    assert found.law.gain.value < 0.001


@pytest.mark.parametrize("loss", ["zero_one", "brier", "cross_entropy"])
def test_losses_of_classes(loss: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(0, 5, (2000, 1))
    y = (rng.random(2000) < np.linspace(0.1, 0.9, 5)[x[:, 0]]).astype(np.int64)
    eta = np.linspace(0.1, 0.9, 5)
    best = {
        "zero_one": np.minimum(eta, 1 - eta).mean(),
        "brier": (2 * eta * (1 - eta)).mean(),
        "cross_entropy": -(eta * np.log(eta) + (1 - eta) * np.log(1 - eta)).mean(),
    }[loss]
    found = learning_curve(
        histogram(5), (x[:1000], y[:1000]), test=(x[1000:], y[1000:]), loss=loss, outputs="probabilities"
    )  # type: ignore[arg-type]
    assert found.means[-1] == pytest.approx(best, abs=0.05)
    assert found.means[0] > found.means[-1]


def test_one_size_with_little_spread_does_not_rule() -> None:
    errors = np.array([[0.8, 0.6, 0.7], [0.5, 0.5, 0.501], [0.4, 0.3, 0.5], [0.2, 0.3, 0.35]])
    assert standard_errors(errors, [10, 20, 40, 80])[1] > 0.005


def test_standard_errors_are_those_of_the_means() -> None:
    rng = np.random.default_rng(0)
    sizes = [25, 50, 100, 200, 400]
    truth = 1 / np.array(sizes)
    found = np.mean([standard_errors(truth[:, None] * rng.normal(size=(5, 6)), sizes) ** 2 for _ in range(2000)], 0)
    assert found == pytest.approx(truth**2 / 6, rel=0.2)


def test_rows_and_seeds_repeat() -> None:
    first, second = (
        ols_curve(3, sizes=[20, 40, 80, 160, 320], seeds=3),
        ols_curve(3, sizes=[20, 40, 80, 160, 320], seeds=3),
    )
    assert (first.errors == second.errors).all()  # type: ignore[attr-defined]


def test_bad_input_is_refused() -> None:
    data = linear_data(np.random.default_rng(0), 50, 2)
    with pytest.raises(ConfigError, match="too few seeds"):
        learning_curve(least_squares, data, test=data, loss="squared", seeds=2)
    with pytest.raises(ConfigError, match="sizes that cannot be"):
        learning_curve(least_squares, data, test=data, loss="squared", sizes=[10, 60])


def test_form() -> None:
    found = ols_curve(4, sizes=[40, 80, 160, 320, 640], seeds=3)
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["law"]["refused"] is None  # type: ignore[attr-defined]
    assert found.figure(theme="dark").axes  # type: ignore[attr-defined]
    few = ols_curve(4, sizes=[40, 80, 160], seeds=3)
    assert "no forecast: 3 sizes" in str(few)
    assert few.figure().axes  # type: ignore[attr-defined]
