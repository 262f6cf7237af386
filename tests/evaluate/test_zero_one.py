from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import mlkit.evaluate as ev
from mlkit.errors import ConfigError
from tests.evaluate.worlds import assert_close, histogram


@pytest.mark.parametrize(("eta", "labels", "v", "error"), [(0.7, 5, 0.16308, 0.365232), (0.6, 11, 0.246502, 0.449300)])
def test_c9_a_histogram_classifier(eta: float, labels: int, v: float, error: float) -> None:
    assert binom.cdf(labels // 2, labels, eta) == pytest.approx(v, abs=1e-6)
    rng = np.random.default_rng(9)
    rows = 1000
    y = (np.arange(rows) < eta * rows).astype(int)
    found: dict[str, list[float]] = {}
    for _ in range(20):
        table = rng.binomial(labels, eta, size=(101, rows)) / labels
        result = ev.decompose_predictions(table, y, loss="zero_one", outputs="probabilities")
        for term in (*result.terms, result.total):
            found.setdefault(term.name, []).append(term.value)
    wrong, hurts, helps = (found[name] for name in list(found)[:3])
    assert_close(found["expected loss"], error)
    # Of 101 models' votes 1 in 50 rows at 0.7 is wrong now and then; the limits are those of ever more models.
    assert np.mean(wrong) == pytest.approx(1 - eta, abs=0.002)
    assert np.mean(hurts) == pytest.approx(eta * v, abs=0.003)
    assert np.mean(helps) == pytest.approx((1 - eta) * v, abs=0.003)


@pytest.mark.parametrize(("classes", "models"), [(2, 15), (3, 16), (7, 31)])
def test_c13_the_effects_sum_to_the_error(classes: int, models: int) -> None:
    rng = np.random.default_rng(classes)
    table, y = rng.dirichlet(np.ones(classes), size=(models, 60)), rng.integers(0, classes, 60)
    result = ev.decompose_predictions(table, y, loss="zero_one", outputs="probabilities")
    wrong, hurts, helps = (term.value for term in result.terms)
    assert wrong + hurts - helps == pytest.approx(float((table.argmax(2) != y).mean()), abs=1e-12)
    assert result.total.value == pytest.approx(wrong + hurts - helps, abs=1e-12)


def test_the_disagreement_of_halves_is_that_of_independent_models() -> None:
    cells, eta, half = 30, 0.7, 5
    v = binom.cdf(2, half, eta)  # of choosing class 0
    rng = np.random.default_rng(3)
    values = []
    for number in range(40):
        cell = np.repeat(np.arange(cells), 2 * half)
        y = (rng.random(len(cell)) < eta).astype(int)
        result = ev.decompose(
            histogram(cells),
            (cell[:, None], y),
            test=(np.arange(cells)[:, None], np.ones(cells, dtype=int)),
            loss="zero_one",
            outputs="probabilities",
            strata=cell,
            size=(8, 1),
            seed=number,
        )
        values.append(result.term("disagreement of halves").value)
    assert_close(values, 2 * v * (1 - v))


def test_few_models_are_warned_of() -> None:
    table = np.random.default_rng(0).dirichlet(np.ones(3), size=(8, 30))
    with pytest.warns(UserWarning, match="8 models are too few for a vote: 15 or more"):
        result = ev.decompose_predictions(table, np.zeros(30, dtype=int), loss="zero_one", outputs="probabilities")
    assert "0-1 loss has no additive split" in str(result)


def test_there_is_no_noise_to_take_off() -> None:
    with pytest.raises(ConfigError, match="0-1 loss is not split into noise and bias"):
        ev.decompose_predictions(np.ones((15, 3, 2)), np.zeros(3, dtype=int), loss="zero_one", noise=0.1)
