"""Squared error: loss = noise + bias² + variance, from complementary pairs or from independent models.

Not here: Brier's score, which is this on probabilities (`mlkit.evaluate.brier`).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from mlkit.evaluate.outputs import Floats
from mlkit.evaluate.pairs import ModelTerms, PairTerms, jackknife


def pair_terms(
    table: Floats,
    target: Floats,
    *,
    scale: float,
    noise: Floats | None,
    add_noise: bool,
    labels: Floats | None = None,
) -> PairTerms:
    """Terms from halves.

    For models a and b of complementary halves, which are independent, the variance is ``|a - b|² / 2`` and bias² +
    noise is ``(a - y)·(b - y)``; they sum to the pair's mean squared error identically, and both are unbiased for
    training sets of half the size. Averaged over all pairs of seeds.

    Args:
        table: predictions ``(R, 2, S, m, C)``.
        target: ``(m, C)``: labels, or their expectation.
        scale: weight of a column: 1 / C for the mean over outputs, 1 for their sum.
        noise: ``(m,)``, where known.
        add_noise: ``target`` is the expectation of the labels, so that their noise is still to be added to the loss.
        labels: ``(m, C)``, where ``target`` is their expectation.
    """
    seeds = table.shape[2]
    means = table.mean(2)
    inside = scale * np.square(table - means[:, :, None]).sum((2, -1))
    losses = scale * np.square(table - target).sum(-1).mean(2)
    if noise is not None and add_noise:
        losses = losses + noise
    moves = np.sqrt(scale) * (means[:, 0] - means[:, 1])
    variance = 0.5 * np.square(moves).sum(-1) + 0.5 * inside.sum(1) / seeds
    few = seeds // 2
    between = np.sqrt(scale) * (table[:, :, 0 : 2 * few : 2] - table[:, :, 1 : 2 * few : 2])
    return PairTerms(
        losses.mean(1),
        variance,
        None if seeds == 1 else inside.mean(1) / (seeds - 1),
        losses,
        moves.reshape(len(table), -1),
        None if seeds == 1 else between.reshape(2 * few * len(table), -1),
        seeds,
        np.square((target if labels is None else labels) - means.mean(1)).sum(-1).mean(0),
        noise,
    )


def model_terms(table: Floats, target: Floats, *, scale: float, noise: Floats | None, add_noise: bool) -> ModelTerms:
    """Terms from independent models: the variance with ``K - 1``, bias² + noise = ``(mean - y)² - variance / K``.

    ``table`` holds predictions ``(K, m, C)``; the other arguments are those of `pair_terms`.
    """
    loss = scale * np.square(table - target).sum(-1)
    if noise is not None and add_noise:
        loss = loss + noise
    return ModelTerms(loss, jackknife(table, partial(_spread, scale=scale)), noise)


def _spread(table: Floats, *, scale: float) -> Floats:
    return np.asarray(scale * table.var(0).sum(-1), dtype=np.float64)
