"""Predictions for the training rows themselves, each by models trained on a half that does not hold the row.

Not here: what is read from them (`mlkit.evaluate.label_errors`), nor losses on test rows (`decompose`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.learners import Inputs, Job, Learner, Predict, carry_out, take
from mlkit.evaluate.outputs import Floats, Outputs, Predictions, formed, numbers
from mlkit.evaluate.partition import halves
from mlkit.runtime.keys import derive_seed


def unseen_predictions(
    learner: Learner,
    data: tuple[Inputs, Predictions],
    *,
    outputs: Outputs = "logits",
    partitions: int = 4,
    seed: int = 0,
) -> Floats:
    """Mean probabilities ``(n, C)`` of every training row by the half models that did not train on it.

    Args:
        learner: see `mlkit.evaluate.decompose`.
        data: training inputs and labels.
        outputs: what the learner predicts: ``"logits"`` or ``"probabilities"``.
        partitions: of the rows into halves; two models each. More make single rows surer.
        seed: of partitions and training.

    Raises:
        ConfigError: no partitions.
        ModelError: predictions that are none.

    >>> frequencies = lambda x, y, seed: lambda rows: np.tile(np.bincount(y, minlength=2) / len(y), (len(rows), 1))
    >>> unseen_predictions(frequencies, (np.zeros((6, 1)), np.array([0, 1] * 3)), outputs="probabilities").shape
    (6, 2)
    """
    if partitions < 1:
        raise ConfigError("too few partitions", received=partitions, allowed="1 or more")
    x, labels = data
    y = np.asarray(numbers(labels), dtype=np.int64)
    n = len(y)
    pairs = [halves(n, seed=seed, number=number, labels=y) for number in range(partitions)]
    jobs = [
        Job(rows, derive_seed(seed, "unseen", k, side))
        for k, pair in enumerate(pairs)
        for side, rows in enumerate(pair)
    ]
    return out_of_half(zip(jobs, carry_out(learner, x, labels, jobs), strict=True), x, rows=n, outputs=outputs)


def out_of_half(trained: Iterable[tuple[Job, Predict]], x: Inputs, *, rows: int, outputs: Outputs = "logits") -> Floats:
    """Mean probabilities ``(rows, C)`` of every training row by those of the models that did not train on it.

    Args:
        trained: what each model was trained on, and its predictions; those of all rows are passed over.
        x: training inputs.
        rows: how many.
        outputs: what the models predict: ``"logits"`` or ``"probabilities"``.

    Raises:
        DataError: a row that every model was trained on.
        ModelError: predictions that are none.

    >>> always = lambda x: np.tile([0.8, 0.2], (len(x), 1))
    >>> trained = [(Job(np.array([0, 1]), 0), always), (Job(np.array([2, 3]), 1), always)]
    >>> out_of_half(trained, np.zeros((4, 1)), rows=4, outputs="probabilities")[0].tolist()
    [0.8, 0.2]
    """
    total: Floats | None = None
    seen = np.zeros(rows)
    for job, predict in trained:
        others = np.setdiff1d(np.arange(rows), job.rows)
        if len(others) == 0:
            continue
        found = formed(predict(take(x, others)), rows=len(others), loss="brier", outputs=outputs, who="the learner")
        total = np.zeros((rows, found.shape[1])) if total is None else total
        total[others] += found
        seen[others] += 1
    if total is None or (seen == 0).any():
        raise DataError(
            "a row was trained on by every model",
            received=f"{int((seen == 0).sum())} such rows",
            todo="train on halves",
        )
    return total / seen[:, None]
