"""Brier's score: squared error of probabilities, summed over classes (Brier 1950), with the noise of soft labels.

Not here: the squared error itself (`mlkit.evaluate.squared`).
"""

from __future__ import annotations

import numpy as np

from mlkit.evaluate import squared
from mlkit.evaluate.outputs import Classes, Floats, one_hot
from mlkit.evaluate.pairs import ModelTerms, PairTerms


def pair_terms(table: Floats, classes: Classes, *, soft: Floats | None, noise: Floats | None) -> PairTerms:
    """Terms from halves; with soft labels the loss is the expected one over labels, and its noise is known.

    Args:
        table: probabilities ``(R, 2, S, m, C)``.
        classes: labels ``(m,)``.
        soft: probabilities of the labels ``(m, C)``.
        noise: ``(m,)`` where known otherwise.
    """
    target, known = _target(classes, soft, noise, table.shape[-1])
    labels = one_hot(classes, table.shape[-1])
    return squared.pair_terms(table, target, scale=1.0, noise=known, add_noise=soft is not None, labels=labels)


def model_terms(table: Floats, classes: Classes, *, soft: Floats | None, noise: Floats | None) -> ModelTerms:
    """Terms from independent models ``(K, m, C)``; the rest as in `pair_terms`."""
    target, known = _target(classes, soft, noise, table.shape[-1])
    return squared.model_terms(table, target, scale=1.0, noise=known, add_noise=soft is not None)


def losses(table: Floats, classes: Classes, soft: Floats | None) -> Floats:
    """Score of every row, over the last axis; with soft labels the expected one."""
    target, noise = _target(classes, soft, None, table.shape[-1])
    score = np.square(table - target).sum(-1)
    return np.asarray(score if noise is None else score + noise, dtype=np.float64)


def noise_of(soft: Floats) -> Floats:
    """Brier's score of the true probabilities themselves, ``sum p (1 - p)``, of each row.

    >>> noise_of(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([0.5, 0. ])
    """
    return np.asarray((soft * (1 - soft)).sum(-1), dtype=np.float64)


def _target(classes: Classes, soft: Floats | None, noise: Floats | None, columns: int) -> tuple[Floats, Floats | None]:
    return (one_hot(classes, columns), noise) if soft is None else (soft, noise_of(soft))
