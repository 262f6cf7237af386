"""Predictions for the training rows themselves, each by models trained on a half that does not hold the row.

Not here: what is read from them (`mlkit.evaluate.label_errors`), nor losses on test rows (`decompose`).
"""

from __future__ import annotations

import numpy as np

from mlkit.errors import ConfigError
from mlkit.evaluate.learners import Inputs, Job, Learner, carry_out, take
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
    total: Floats | None = None
    seen = np.zeros(n)
    for job, predict in zip(jobs, carry_out(learner, x, labels, jobs), strict=True):
        others = np.setdiff1d(np.arange(n), job.rows)
        found = formed(predict(take(x, others)), rows=len(others), loss="brier", outputs=outputs, who="the learner")
        total = np.zeros((n, found.shape[1])) if total is None else total
        total[others] += found
        seen[others] += 1
    assert total is not None
    return total / seen[:, None]
