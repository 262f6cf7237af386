"""`PairTerms` and `ModelTerms`: loss and variance of every test row, from halves or from independent models.

Not here: the formulas, one file a loss (`squared`, `brier`, `cross_entropy`), nor intervals (`uncertainty`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlkit.evaluate.outputs import Floats


@dataclass(frozen=True, eq=False)
class PairTerms:
    """Terms of every partition and test row, from models of complementary halves.

    Args:
        loss: ``(R, m)``, mean over the models of a partition.
        variance: ``(R, m)``, of models trained on half the data, data and seed together.
        seed: ``(R, m)``, the part of the variance that the seed makes; None with one seed.
        halves: ``(R, 2, m)``, loss of each half's models.
        moves: ``(R, D)``, by how much the two halves' predictions differ, scaled so that half its square, summed over
            columns and divided by m, is the variance of the seeds' means.
        seed_moves: ``(Q, D)``, likewise by how much two seeds differ.
        seeds: S, of each half.
        residuals: ``(m,)``, squared distance of the label from the mean prediction: how unequal training rows are.
        noise: ``(m,)``, expected loss of the best prediction, where known.
    """

    loss: Floats
    variance: Floats
    seed: Floats | None
    halves: Floats
    moves: Floats
    seed_moves: Floats | None
    seeds: int
    residuals: Floats
    noise: Floats | None = None

    @property
    def bias_and_noise(self) -> Floats:
        """``(R, m)``: what of the loss is not variance."""
        return self.loss - self.variance


@dataclass(frozen=True, eq=False)
class ModelTerms:
    """Terms of every model and test row, from models of independent training sets.

    Args:
        loss: ``(K, m)``.
        variance: ``(K, m)``, the jackknife's pseudo-values: their mean over models is the estimate, their spread its
            uncertainty.
        noise: ``(m,)``, where known.
    """

    loss: Floats
    variance: Floats
    noise: Floats | None = None

    @property
    def bias_and_noise(self) -> Floats:
        """``(K, m)`` pseudo-values of what of the loss is not variance."""
        return self.loss - self.variance


def jackknife(table: Floats, plug_in: Callable[[Floats], Floats]) -> Floats:
    """Pseudo-values ``K theta - (K - 1) theta_(-k)`` of every model, ``(K, m)``.

    For a squared error their mean is exactly the variance with ``K - 1``; for two models it is twice the plug-in value.

    Args:
        table: ``(K, m, C)``, K of at least 2.
        plug_in: from ``(models, m, C)`` to the estimate of each row, ``(m,)``, too small by the order 1 / models.

    Source: Quenouille, Biometrika 43 (1956); Tukey (1958).
    """
    count = len(table)
    whole = plug_in(table)
    # One model alone has no variance.
    without = [plug_in(np.delete(table, k, axis=0)) if count > 2 else np.zeros_like(whole) for k in range(count)]
    return np.stack([count * whole - (count - 1) * part for part in without])
