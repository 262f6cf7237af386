"""`decompose_predictions`: noise, bias and variance from models that were trained on independent training sets.

Not here: training, and models that share a training set (`mlkit.evaluate.decompose`); for those these estimates are
wrong, since they take the models for independent.
"""

from __future__ import annotations

import numpy as np

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate import brier, cross_entropy, squared, zero_one
from mlkit.evaluate.decompose import notes_on_noise, notes_on_votes
from mlkit.evaluate.decomposition import Decomposition, Sizes
from mlkit.evaluate.estimates import of_models, of_votes
from mlkit.evaluate.known_noise import checked_noise, checked_soft
from mlkit.evaluate.outputs import (
    Classes,
    Floats,
    LossName,
    Outputs,
    Predictions,
    check_loss,
    formed,
    numbers,
    targets_of,
)
from mlkit.evaluate.pairs import ModelTerms

INDEPENDENT = "the models were taken as trained on independent training sets; bootstrap or folds are not"


def decompose_predictions(
    predictions: Predictions,
    y: Predictions,
    *,
    loss: LossName = "cross_entropy",
    outputs: Outputs | None = None,
    noise: float | Predictions | None = None,
    soft_labels: Predictions | None = None,
) -> Decomposition:
    """Split the loss of models from independent training sets: a simulator's, or disjoint parts of much data.

    Args:
        predictions: ``(K, m, C)`` or, for one column, ``(K, m)``: of K models on the same m test rows; K of at least 2.
            Bias of the variance is removed by the jackknife; with two models that is the factor 2.
        y: labels or values of the test rows.
        loss: see `decompose`.
        outputs: see `decompose`.
        noise: see `decompose`.
        soft_labels: see `decompose`.

    Raises:
        ConfigError: settings that do not go together.
        DataError: targets that do not fit, or fewer than two models.
        ModelError: predictions that do not fit or are not finite.

    >>> rng = np.random.default_rng(0)
    >>> found = decompose_predictions(rng.normal(size=(400, 50)), np.zeros(50), loss="squared")
    >>> print(found.term("variance"))  # truth: 1
    variance 0.9920 [0.9735, 1.0109]
    """
    kind = check_loss(loss, outputs)
    raw = numbers(predictions)
    if raw.ndim not in (2, 3) or len(raw) < 2 or raw.shape[1] == 0:
        raise DataError(
            "predictions of several models are needed",
            received=f"shape {raw.shape}",
            allowed="(K, m, C) with K of at least 2",
            todo="stack the predictions of all models for the same rows",
        )
    if loss == "zero_one" and (noise is not None or soft_labels is not None):
        raise ConfigError("0-1 loss is not split into noise and bias", received="noise or soft_labels", allowed="None")
    m = raw.shape[1]
    table = np.stack(
        [formed(one, rows=m, loss=loss, outputs=kind, who=f"model {number}") for number, one in enumerate(raw)]
    )
    columns = table.shape[2]
    target = targets_of(y, loss=loss, columns=columns, rows=m)
    soft = checked_soft(soft_labels, rows=m, columns=columns, loss=loss)
    known = checked_noise(noise, rows=m, soft=soft)
    sizes = Sizes(len(table), None, None, None, m)
    notes = [INDEPENDENT]
    if loss == "zero_one":
        votes = zero_one.model_terms(table, np.asarray(target, dtype=np.int64))
        terms, extra, total = of_votes(votes)
        notes += notes_on_votes(len(table), shared=False)
        rows = votes.wrong, (votes.hurts + votes.helps).mean(0)
        return Decomposition(loss, terms, (), extra, total, None, sizes, tuple(notes), *rows, table)
    found = models_of(table, target, loss=loss, soft=soft, noise=known)
    terms, total = of_models(found, loss=loss, soft=soft is not None)
    notes += notes_on_noise(loss, known=found.noise is not None)
    rows = found.bias_and_noise.mean(0), found.variance.mean(0)
    return Decomposition(loss, terms, (), (), total, None, sizes, tuple(notes), *rows, table)


def models_of(
    table: Floats, target: Floats | Classes, *, loss: LossName, soft: Floats | None, noise: Floats | None
) -> ModelTerms:
    """The terms of every model and row, for any loss but 0-1."""
    if loss == "squared":
        values = np.asarray(target, dtype=np.float64)
        return squared.model_terms(table, values, scale=1 / table.shape[-1], noise=noise, add_noise=False)
    classes = np.asarray(target, dtype=np.int64)
    if loss == "brier":
        return brier.model_terms(table, classes, soft=soft, noise=noise)
    return cross_entropy.model_terms(table, classes, soft=soft, noise=noise)
