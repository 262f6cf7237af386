"""Rows of a run that stand out: labels that are likely wrong, and groups of rows in which the model errs more.

Not here: the analyses (`mlkit.evaluate.label_errors`, `sure` and `slices`), nor confused classes (`errors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mlkit.config.evaluating.errors import labelled_rows
from mlkit.config.evaluating.finished import Finished
from mlkit.config.evaluating.learner import ConfigLearner
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Split
from mlkit.evaluate.label_errors import LabelErrors, label_errors
from mlkit.evaluate.ladder_of import errors_of
from mlkit.evaluate.outputs import Floats
from mlkit.evaluate.pictures import svg
from mlkit.evaluate.slices import MOST_FEATURES, Slices, slices
from mlkit.evaluate.sure import wrong_where_sure
from mlkit.evaluate.terms import Term, wrapped
from mlkit.evaluate.unseen import out_of_half
from mlkit.evaluate.worst import Row, Shown, WorstRows
from mlkit.runtime.keys import generator

SHOWN = 3  # rows on the console; all are in the JSON
SHEET = 12  # rows on the picture
MOST_ROWS = 10_000  # that slices are looked for in: more cost memory and change little of what is resolved
MOST_COLUMNS = 200  # of a table: beyond it slices of single columns are as good as noise


@dataclass(frozen=True)
class RunLabels:
    """Labels of the training rows that are likely wrong.

    Args:
        found: the rows.
        sure: share of wrong labels where the models are surest; what the advice counts.
        picture: a sheet of the likeliest rows, as HTML; None where inputs cannot be drawn.
    """

    found: LabelErrors
    sure: Term
    picture: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.found.to_dict(), "where_sure": self.sure.to_dict()}

    def __str__(self) -> str:
        first, term, *rows = str(self.found).splitlines()
        named = [row for row in rows if row.startswith("  row ")][:SHOWN]
        where = self.sure.method.removeprefix("none: ") if self.sure.low is None else "where the models are surest"
        return "\n".join(
            [
                *wrapped(
                    f"training labels: {first}, or hard rows: classes that overlap pass for wrong labels", rest="  "
                ),
                f"{term} as confident learning counts them",
                *wrapped(f"{self.sure}: {where}", first="  ", rest="    "),
                *named,
                "  judged by models that did not train on the row; numbers are those of train",
            ]
        )


@dataclass(frozen=True)
class RunSlices:
    """Groups of rows in which the run's model errs more than elsewhere.

    Args:
        split: that was judged.
        found: the groups.
    """

    split: str
    found: Slices

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"split": self.split, **self.found.to_dict()}

    def __str__(self) -> str:
        text = "numbers are in standard deviations from the mean of the training rows, categories are codes"
        return "\n".join([f"worst slices of {self.split}: {self.found}", *wrapped(text, first="  ", rest="  ")])


def labels_of_run(finished: Finished, learner: ConfigLearner) -> RunLabels | None:
    """Labels that the models of the decomposition contradict; None for what is no classification of rows.

    Args:
        finished: the run.
        learner: which trained the models of the decomposition.
    """
    data = finished.data
    rows = labelled_rows(data.train, data.task) if learner.trained else None
    if rows is None:
        return None
    inputs, targets = rows
    table = out_of_half(learner.trained, inputs[0] if len(inputs) == 1 else inputs, rows=len(targets))
    labels = targets.cpu().numpy()
    names = data.task.class_names or None
    found = label_errors(table, labels, names=names, seed=finished.config.seed)
    drawn = inputs[0] if len(inputs) == 1 and data.task.input_kind in ("image", "vector") else None
    picture = None if drawn is None or len(found.rows) == 0 else _sheet(found, table, drawn.cpu().numpy(), data)
    return RunLabels(found, wrong_where_sure(table, labels), picture)


def _sheet(found: LabelErrors, table: Floats, inputs: Floats, data: DataBundle) -> str:
    rows = found.rows[:SHEET]
    told = [
        Row(
            int(row),
            -float(np.log(max(table[row, given], 1e-12))),
            found.names[given],
            found.names[other],
            float(table[row, other]),
        )
        for row, given, other in zip(rows, found.given, found.suggested, strict=False)
    ]
    kind: Shown = "image" if data.task.input_kind == "image" else "table"
    names = tuple(columns_of(data, inputs.shape[1], 0)) if kind == "table" else None
    return svg(WorstRows(tuple(told), found.count, 0.0, inputs[rows], kind, names).figure(theme="neutral"))


def slices_of_run(finished: Finished) -> RunSlices | None:
    """Slices of ``test``, else ``val``, by the columns of the inputs; None for what has no columns with a meaning."""
    data = finished.data
    if data.task.input_kind not in ("vector", "table") or data.task.kind not in ("classification", "regression"):
        return None
    name, split = ("val", data.val) if data.test is None else ("test", data.test)
    split = _some(split, seed=finished.config.seed)
    batch = split.gather(torch.arange(len(split), device=split.device))
    inputs = batch.inputs
    if not isinstance(inputs, tuple) or any(part.ndim != 2 for part in inputs):
        return None
    widths = [part.shape[1] for part in inputs]
    if sum(widths) > MOST_COLUMNS:
        return None
    device = next((parameter.device for parameter in finished.model.parameters()), split.device)
    kind = data.task.kind
    errors = errors_of(finished.model, split.to(device), data.task, of="error" if kind == "classification" else "loss")
    if len(errors) != len(split):  # rows without a label have no error
        return None
    found = slices(
        np.concatenate([part.double().cpu().numpy() for part in inputs], axis=1),
        errors,
        features=columns_of(data, widths[0], sum(widths[1:])),
        categorical=range(widths[0], sum(widths)),
        pairs=sum(widths) <= MOST_FEATURES,
        seed=finished.config.seed,
    )
    return RunSlices(name, found)


def columns_of(data: DataBundle, numeric: int, categorical: int) -> list[str]:
    """Names of the columns as the notes of the data tell them; their numbers where they do not."""
    return [
        *_named(data.notes.get("numeric columns", ""), numeric, "column"),
        *_named(data.notes.get("categorical columns", ""), categorical, "category"),
    ]


def _named(listed: str, count: int, otherwise: str) -> list[str]:
    names = [] if listed in ("", "none") else listed.split(", ")
    if len(names) > count:
        names = []
    # Behind the columns stand those that tell which values are missing.
    more = "missing" if names else otherwise
    return [*names, *(f"{more} {place}" for place in range(count - len(names)))]


def _some(split: Split, *, seed: int) -> Split:
    if len(split) <= MOST_ROWS:
        return split
    rows = torch.randperm(len(split), generator=generator(seed, "sliced rows"))[:MOST_ROWS].sort().values
    return split.subset(rows.to(split.device))
