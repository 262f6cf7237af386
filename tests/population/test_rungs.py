from __future__ import annotations

import math

import numpy as np
import pytest

from mlkit.errors import ConfigError
from mlkit.metrics.estimate import Estimate
from mlkit.population import Member, Standing, halving
from mlkit.population.rungs import rank_correlation


def _standings(values: list[float], name: str = "loss") -> list[Standing]:
    return [Standing(k, Member(), {"val": {name: Estimate(value)}}) for k, value in enumerate(values)]


def test_the_best_third_goes_on_and_nan_is_worst() -> None:
    values = [0.3, math.nan, 0.1, 0.2, 0.5, 0.4, math.inf, 0.6, 0.7]
    assert halving((1,), eta=3)(1, _standings(values)) == [0, 2, 3]


def test_larger_is_better_where_the_metric_says_so() -> None:
    assert halving((1,), eta=2, metric="val/accuracy")(1, _standings([0.1, 0.9, 0.8, 0.2], "accuracy")) == [1, 2]
    assert halving((1,), eta=4, metric="val/mine", goal="max")(1, _standings([0.1, 0.9, 0.8, 0.2], "mine")) == [1]


def test_one_always_goes_on() -> None:
    assert halving((1,), eta=3)(1, _standings([0.2, 0.1])) == [1]


def test_the_audit_adds_some_of_the_others_and_is_repeatable() -> None:
    values = [k / 100 for k in range(100)]
    keep = halving((1, 2), eta=4, audit=0.2)
    kept = keep(1, _standings(values))
    assert kept == keep(1, _standings(values))
    assert set(range(25)) <= set(kept)
    assert len(kept) == 25 + 15
    assert kept != keep(2, _standings(values))


def test_curves_that_never_cross_never_lose_the_best() -> None:
    # C21: a_i + b t**-c with common b and c.
    for seed in range(20):
        limits = np.random.default_rng(seed).permutation(27) / 27
        members = list(range(27))
        for rung in (1, 3, 9):
            standings = [Standing(k, Member(), {"val": {"loss": Estimate(limits[k] + rung**-0.5)}}) for k in members]
            members = halving((1, 3, 9), eta=3)(rung, standings)
        assert members == [int(limits.argmin())]


def test_settings_that_cannot_be_right() -> None:
    with pytest.raises(ConfigError) as caught:
        halving((3, 1), eta=1, audit=2)
    for part in ("the rungs", "eta", "audit"):
        assert part in str(caught.value)


def test_a_metric_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="val/loss"):
        halving((1,), metric="test/loss")(1, _standings([0.1, 0.2]))


def test_rank_correlation_is_spearmans() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    for _ in range(5):
        x, y = draw.integers(0, 6, 12).astype(float), draw.normal(size=12)
        assert rank_correlation(list(x), list(y)) == pytest.approx(float(stats.spearmanr(x, y).statistic), abs=1e-12)
    assert math.isnan(rank_correlation([1.0, 2.0], [1.0, 2.0]))
    assert math.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
