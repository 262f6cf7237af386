"""The last stage: the best few with several seeds each, the same seeds for all, and which of them are level.

A single run each would crown whoever was lucky. Not here: which trials come into it (`mlkit.search.driver`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import student

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Comparison:
    """Finalists compared seed by seed.

    Args:
        scores: trial to its scores, one a seed, in the order of the seeds.
        ties: trials that may be the best, best mean first: with probability 0.95 the best one is among them.
        corrected: what the chosen one scores without the luck of the choice: for each seed, the score of the trial
            that is best by all other seeds.
        noise: standard deviation of a run, after what trials and seeds have in common is taken out; NaN when unknown.
        failed: trials that failed with one of the seeds, and why.
    """

    scores: Mapping[int, tuple[float, ...]]
    ties: tuple[int, ...]
    corrected: Estimate
    noise: float
    failed: Mapping[int, str]

    def mean(self, trial: int) -> float:
        """Over the seeds."""
        return float(np.mean(self.scores[trial]))

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "scores": {str(trial): list(values) for trial, values in self.scores.items()},
            "ties": list(self.ties),
            "corrected": self.corrected.to_dict(),
            "noise": None if math.isnan(self.noise) else self.noise,
            "failed": {str(trial): why for trial, why in self.failed.items()},
        }


def compare(
    scores: Mapping[int, Sequence[float]], *, sign: float, failed: Mapping[int, str] | None = None
) -> Comparison:
    """Which trials may be the best, from equally many scores each with common seeds.

    Model: score = trial + seed + noise. A trial stays in the tie set unless its mean is worse than the best of the
    others by more than the bound for all comparisons together.

    Args:
        scores: trial to its scores, in the order of the seeds.
        sign: 1 where small scores are better, -1 where large ones are.
        failed: trials left out, and why.

    Source: multiple comparisons with the best, Hsu (1984, Annals of Statistics 12), with Bonferroni's bound in place of
    Dunnett's; randomised blocks, the seeds being the blocks.

    >>> compare({3: [1.0, 2.0, 3.0], 8: [1.1, 2.0, 3.1], 9: [5.0, 6.1, 7.0]}, sign=1).ties
    (3, 8)
    """
    trials = list(scores)
    table = sign * np.array([scores[trial] for trial in trials], dtype=float)
    noise = _noise(table)
    means = table.mean(axis=1) if len(trials) else np.empty(0)
    bound = _bound(table.shape, noise) if len(trials) > 1 else math.inf
    order = sorted(range(len(trials)), key=lambda row: (means[row], trials[row]))
    ties = []
    for row in order:
        others = np.delete(means, row)
        if not len(others) or means[row] - others.min() <= bound:
            ties.append(trials[row])
    kept = {trial: tuple(float(value) for value in scores[trial]) for trial in trials}
    return Comparison(kept, tuple(ties), _corrected(table, sign, noise), noise, dict(failed or {}))


def _noise(table: np.ndarray) -> float:
    trials, seeds = table.shape
    if trials < 2 or seeds < 2:
        return float(table.std(ddof=1)) if seeds > 1 else math.nan
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    return math.sqrt(float((rest**2).sum()) / ((trials - 1) * (seeds - 1)))


def _bound(shape: tuple[int, ...], noise: float) -> float:
    from scipy.stats import t

    trials, seeds = shape
    if seeds < 2:
        return math.inf
    level = 1 - (1 - CONFIDENCE) / (trials - 1)
    return float(t.ppf(level, (trials - 1) * (seeds - 1))) * noise * math.sqrt(2 / seeds)


def _corrected(table: np.ndarray, sign: float, noise: float) -> Estimate:
    trials, seeds = table.shape if table.ndim == 2 else (0, 0)
    if not trials or seeds < 2:
        return Estimate(sign * float(table.mean()) if trials else math.nan, method="none: fewer than two seeds")
    left_out = (table.sum(axis=1, keepdims=True) - table) / (seeds - 1)
    values = sign * table[left_out.argmin(axis=0), np.arange(seeds)]
    # Variance of one run, from all finalists. That of the chosen values alone is too small where many trials are level:
    # what they have in common from being chosen does not show in it (84 % were covered in a simulation, not 95 %).
    run = float(table.mean(axis=0).var(ddof=1)) + (1 - 1 / trials) * noise**2
    estimate = student(float(values.mean()), run / seeds, seeds)
    return Estimate(estimate.value, estimate.low, estimate.high, seeds, "student over seeds, choice by the other seeds")


def bias_corrected(
    table: np.ndarray,
    *,
    direction: str = "max",
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """What the best of many configurations scores on rows that did not help to choose it.

    The best of k scores on the same rows is better than it will be on others, by luck. Here rows are drawn with
    replacement, the best on those is scored on the rows that were not drawn, and all that is repeated.

    Args:
        table: score of each row under each configuration, ``(rows, configurations)``: 1 for right and 0 for wrong, or
            losses.
        direction: ``"max"`` where large scores are better, ``"min"`` where small ones are.
        resamples: how often rows are drawn.
        seed: of the drawing.

    Source: bootstrap bias corrected cross-validation, Tsamardinos, Greasidou and Borboudakis, Machine Learning 107
    (2018).
    """
    table = np.asarray(table, dtype=float)
    rows, _ = table.shape
    rng = np.random.default_rng(seed)
    best = np.argmax if direction == "max" else np.argmin
    found = []
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        out = drawn == 0
        if out.any():
            found.append(table[out, int(best(drawn @ table))].mean())
    low, high = np.quantile(found, [0.025, 0.975]) if found else (math.nan, math.nan)
    # A share of 1/e of the rows is left out each time. Around the mean of all n rows, the mean of so many of them has
    # variance s²/n (e - 1): sampling without replacement. The mean of all rows itself has s²/n.
    centre, shrink = float(np.mean(found)), 1 / math.sqrt(math.e - 1)
    low, high = centre - (centre - float(low)) * shrink, centre + (float(high) - centre) * shrink
    return Estimate(centre, low, high, rows, "bootstrap, choice on drawn rows and score on the others")
