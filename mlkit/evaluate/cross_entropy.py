"""Cross-entropy: loss = noise + bias + variance, exactly, about the normalised geometric mean of the predictions.

The main prediction is ``softmax(mean of logits)``; noise is the entropy of the labels, bias the divergence from their
probabilities to the main prediction, variance ``mean LSE(z) - LSE(mean z)``. Not here: other losses.

Source: Heskes, Neural Computation 10 (1998); Pfau (2013, arXiv:2511.08789); Gruber and Buettner, AISTATS 2023.
"""

from __future__ import annotations

import numpy as np

from mlkit.evaluate.outputs import Classes, Floats, log_sum_exp, one_hot
from mlkit.evaluate.pairs import ModelTerms, PairTerms, jackknife


def pair_terms(logs: Floats, classes: Classes, *, soft: Floats | None, noise: Floats | None) -> PairTerms:
    """Terms from halves.

    Of two models the plug-in variance is half of the truth to first order, so it is doubled; what remains is of higher
    order (3 % low for normal logits of standard deviation 1). More partitions cannot be put into a jackknife: their
    models share the data, and it would find about half the variance.

    Args:
        logs: log-probabilities ``(R, 2, S, m, C)``.
        classes: labels ``(m,)``.
        soft: probabilities of the labels ``(m, C)``; then the loss is the expected one over labels.
        noise: ``(m,)`` where known otherwise.
    """
    seeds = logs.shape[2]
    pairs = [(s, t) for s in range(seeds) for t in range(seeds)]
    variance = np.mean([gap_of_two(logs[:, 0, s], logs[:, 1, t]) for s, t in pairs], axis=0)
    within = [gap_of_two(logs[:, :, s], logs[:, :, t]) for s, t in pairs if s < t]
    of_halves = losses(logs, classes, soft).mean(2)
    means = logs.mean(2)
    middle = means.mean(1) - log_sum_exp(means.mean(1))[..., None]
    few = seeds // 2
    moved = moves_of(logs[:, :, 0 : 2 * few : 2], logs[:, :, 1 : 2 * few : 2])
    return PairTerms(
        of_halves.mean(1),
        np.asarray(variance, dtype=np.float64),
        np.mean(within, axis=0).mean(1) if within else None,
        of_halves,
        moves_of(means[:, 0], means[:, 1]).reshape(len(logs), -1),
        moved.reshape(2 * few * len(logs), -1) if within else None,
        seeds,
        np.square(one_hot(classes, logs.shape[-1]) - np.exp(middle)).sum(-1).mean(0),
        noise if soft is None else entropy(soft),
    )


def model_terms(logs: Floats, classes: Classes, *, soft: Floats | None, noise: Floats | None) -> ModelTerms:
    """Terms from independent models ``(K, m, C)``, by the jackknife; the rest as in `pair_terms`."""
    known = noise if soft is None else entropy(soft)
    return ModelTerms(losses(logs, classes, soft), jackknife(logs, gap), known)


def gap(logs: Floats) -> Floats:
    """``mean LSE - LSE(mean)`` over the first axis of ``(K, ..., C)``: the Bregman information, the plug-in variance.

    >>> z = np.array([[[0.0, 2.5]], [[0.0, -1.5]]])  # logit 0.5 plus or minus 2
    >>> gap(z).round(6)
    array([0.416075])
    """
    return np.asarray(log_sum_exp(logs).mean(0) - log_sum_exp(logs.mean(0)), dtype=np.float64)


def gap_of_two(first: Floats, second: Floats) -> Floats:
    """Twice the plug-in variance of two models: the factor K / (K - 1)."""
    return 2 * gap(np.stack([first, second]))


def moves_of(first: Floats, second: Floats) -> Floats:
    """The differences of two models as vectors whose half square, summed over classes, is `gap_of_two`.

    The direction is that of the quadratic form ``diag(p) - p p'`` of softmax at the main prediction.
    """
    middle = (first + second) / 2
    p = np.exp(middle - log_sum_exp(middle)[..., None])
    shift = first - second
    moved = np.sqrt(p) * (shift - (p * shift).sum(-1, keepdims=True))
    square = np.square(moved).sum(-1)
    wanted = 2 * np.maximum(gap_of_two(first, second), 0.0)  # rounding can make it negative
    return np.asarray(moved * np.sqrt(wanted / np.where(square > 0, square, 1.0))[..., None], dtype=np.float64)


def entropy(soft: Floats) -> Floats:
    """In nats, of each row of probabilities.

    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).round(4)
    array([0.6931, 0.    ])
    """
    return np.asarray(-(soft * np.log(np.where(soft > 0, soft, 1.0))).sum(-1) + 0.0, dtype=np.float64)


def losses(logs: Floats, classes: Classes, soft: Floats | None) -> Floats:
    """Cross-entropy of every row, over the last axis."""
    if soft is not None:
        return np.asarray(-(soft * logs).sum(-1), dtype=np.float64)
    return np.asarray(-np.take_along_axis(logs, _index(classes, logs), -1)[..., 0], dtype=np.float64)


def _index(classes: Classes, logs: Floats) -> Classes:
    return np.broadcast_to(classes[:, None], (*logs.shape[:-1], 1))
