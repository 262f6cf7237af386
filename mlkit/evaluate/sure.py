"""Wrong labels among the rows of which models are surest: the share that is counted in the advice.

Not here: which rows are likely mislabelled (`mlkit.evaluate.label_errors`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlkit.evaluate.actions import LABEL_ERRORS
from mlkit.evaluate.judged import probabilities_and_labels
from mlkit.evaluate.outputs import Outputs, Predictions
from mlkit.evaluate.terms import Term, estimated
from mlkit.metrics.intervals import wilson_bounds

QUARTER = 0.25
SURE = 0.75  # mean probability of the surest quarter; models below it tell a wrong label from a hard row nowhere
FEWEST = 20  # rows of the quarter


def wrong_where_sure(
    predictions: Predictions, labels: Predictions | Sequence[int], *, outputs: Outputs = "probabilities"
) -> Term:
    """Share of labels that contradict the prediction, of the quarter of rows of which unseen models are surest.

    Confident learning takes classes that overlap for wrong labels: of clean tables and images it finds 5 to 50 %
    mislabelled. Where a model is surest classes do not overlap, so that what contradicts it there is mostly a wrong
    label. For labels that are wrong regardless of the row this is their share in all rows; for those that are wrong
    where rows are hard it is too low.

    Args:
        predictions: ``(n, C)`` of models that did not train on the row; see `unseen_predictions`.
        labels: ``(n,)`` as given.
        outputs: what ``predictions`` are.

    Returns:
        The share with Wilson's interval; without an interval, hence not resolved, where the models are nowhere sure or
        there are too few rows. A little of it may be errors of the models.

    Raises:
        DataError: labels that do not fit.
        ModelError: predictions that are none.

    >>> predictions = np.tile([[0.9, 0.1], [0.1, 0.9]], (50, 1))
    >>> labels = np.tile([0, 1], 50)
    >>> labels[:5] = 1 - labels[:5]
    >>> wrong_where_sure(predictions, labels).value
    0.2
    """
    table, given = probabilities_and_labels(predictions, labels, outputs=outputs)
    surest = np.argsort(-table.max(1), kind="stable")[: max(round(QUARTER * len(given)), 1)]
    share = float((table[surest].argmax(1) != given[surest]).mean())
    if len(surest) < FEWEST:
        return estimated(LABEL_ERRORS, share, None, method=f"none: a quarter of the rows is fewer than {FEWEST}")
    if table[surest].max(1).mean() < SURE:
        return estimated(LABEL_ERRORS, share, None, method="none: the models are nowhere sure enough to tell")
    return estimated(
        LABEL_ERRORS, share, wilson_bounds(share, len(surest)), method="wilson, of the quarter of rows most sure"
    )
