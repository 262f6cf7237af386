from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.domain import auc, domain_classifier


def pair(seed: int, *, delta: float, n: int = 200, p: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(n, p)), rng.normal(size=(n, p))
    target[:, 0] += delta
    return source, target


def test_c19_no_shift_no_alarm() -> None:
    found = [domain_classifier(*pair(seed, delta=0.0), kinds=["logistic"], seed=seed) for seed in range(150)]
    alarms = sum(one.p_value <= 0.05 for one in found)
    assert alarms <= 14  # P(more than 14 of 150 at 5 %) = 0.008


@pytest.mark.slow
def test_c19_no_shift_no_alarm_with_both_classifiers() -> None:
    found = [domain_classifier(*pair(seed, delta=0.0, n=100), seed=seed) for seed in range(60)]
    assert sum(one.p_value <= 0.05 for one in found) <= 8  # P(more than 8 of 60 at 5 %) = 0.003


def test_c19_a_mean_shift_reaches_the_best_auc() -> None:
    best = norm.cdf(0.8 / np.sqrt(2))
    found = [domain_classifier(*pair(seed, delta=0.8, n=500), kinds=["logistic"]) for seed in range(20)]
    assert np.mean([one.auc.value for one in found]) == pytest.approx(best, abs=0.012)
    assert sum(one.auc.low <= best <= one.auc.high for one in found) >= 17
    assert all(one.auc.resolved and one.features[0][0] == "column 0" for one in found)


def test_trees_see_what_a_line_does_not() -> None:
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(300, 2)), 2.5 * rng.normal(size=(300, 2))
    found = domain_classifier(source, target)
    assert found.by == "boosted"
    assert found.aucs["boosted"] > 0.7 > found.aucs["logistic"]
    assert found.p_value <= 0.05


def test_the_rows_least_like_the_source_are_named() -> None:
    source, target = pair(1, delta=0.0)
    far = set(range(0, 200, 10))
    target[sorted(far), 1] = 6.0
    found = domain_classifier(source, target, kinds=["boosted"])
    assert len(far & set(found.most_like_target(20))) >= 12  # by chance: 2


def test_missing_values_are_telling() -> None:
    source, target = pair(2, delta=0.0)
    target[::2, 2] = np.nan
    found = domain_classifier(source, target)
    assert found.p_value <= 0.05
    assert found.features[0][0] == "column 2"


def test_auc_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores, y = rng.integers(0, 5, 60).astype(float), rng.integers(0, 2, 60)
    assert auc(scores, y) == pytest.approx(roc_auc_score(y, scores))


def test_bad_input_is_refused() -> None:
    source, target = pair(0, delta=0.0, n=20)
    with pytest.raises(DataError, match="cannot be compared"):
        domain_classifier(source, target[:, :2])
    with pytest.raises(DataError, match="cannot be compared"):
        domain_classifier(source[:5], target)
    with pytest.raises(ConfigError, match="no such classifier"):
        domain_classifier(source, target, kinds=["forest"])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="too few permutations"):
        domain_classifier(source, target, permutations=5)
    with pytest.raises(DataError, match="one name a column"):
        domain_classifier(source, target, features=["a"])
