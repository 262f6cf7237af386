"""The errors of a finished run themselves: which classes are confused, the worst rows, and whether it is too sure.

Not here: the analyses (`mlkit.evaluate.confusion`, `worst` and `calibration`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlkit.config.evaluating.finished import Finished
from mlkit.data.splits import Split
from mlkit.evaluate.calibration import Calibration, calibration
from mlkit.evaluate.confusion import Confusion, confusion
from mlkit.evaluate.judged import probabilities_and_labels
from mlkit.evaluate.learners import Predictor
from mlkit.evaluate.pictures import svg
from mlkit.evaluate.terms import wrapped
from mlkit.evaluate.worst import WorstRows, worst_rows
from mlkit.metrics.classes import IGNORED
from mlkit.task import Task

FEWEST_ROWS = 100  # ten bins of ten rows: fewer say nothing of calibration
SHOWN = 3  # rows and pairs on the console; all are on the page


@dataclass(frozen=True)
class RunErrors:
    """What a run gets wrong.

    Args:
        split: that was judged.
        confusion: pairs of classes.
        worst: the most confident errors; None where nothing is wrong.
        calibration: None where there are too few rows to tell.
        pictures: of confusion, worst rows and calibration, as HTML.
    """

    split: str
    confusion: Confusion
    worst: WorstRows | None
    calibration: Calibration | None
    pictures: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "split": self.split,
            "confusion": self.confusion.to_dict(),
            "worst": None if self.worst is None else self.worst.to_dict(),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
        }

    def __str__(self) -> str:
        """Few lines; the page holds the rest."""
        lines = [f"errors on {self.split}: {str(self.confusion).splitlines()[0]}"]
        for pair in self.confusion.pairs[:SHOWN]:
            chance = " (no more than chance)" if pair.by_chance else ""
            lines.append(
                f"  {pair.true} -> {pair.predicted}: {pair.count:,} rows, {pair.share:.0%} of all{chance}"[:80]
            )
        if self.worst is not None:
            lines += str(self.worst).splitlines()[1 : 1 + SHOWN]
        if self.calibration is not None:
            lines += [f"  {line}" for line in str(self.calibration.error).splitlines()]
            lines += wrapped(self.calibration.verdict(), first="  ", rest="    ")
        return "\n".join(lines)


def labelled_rows(split: Split, task: Task) -> tuple[tuple[Tensor, ...], Tensor] | None:
    """All inputs and class indices ``(n,)`` of a split; None for what is no classification of rows."""
    if task.kind != "classification":
        return None
    batch = split.gather(torch.arange(len(split), device=split.device))
    inputs, targets = batch.inputs, batch.targets
    is_one_each = targets.ndim == 1 and not targets.is_floating_point()
    if not isinstance(inputs, tuple) or not is_one_each or bool((targets == IGNORED).any()):
        return None
    return inputs, targets


def errors_of_run(finished: Finished) -> RunErrors | None:
    """Judge the model on every row of ``test``, else ``val``; None for what is no classification of rows."""
    data = finished.data
    name, split = ("val", data.val) if data.test is None else ("test", data.test)
    found = labelled_rows(split, data.task)
    if found is None:
        return None
    inputs, targets = found
    device = next((parameter.device for parameter in finished.model.parameters()), torch.device("cpu"))
    logits = Predictor(finished.model, device)(inputs if len(inputs) > 1 else inputs[0])
    table, labels = probabilities_and_labels(logits, targets, outputs="logits")
    names = data.task.class_names or None
    pairs = confusion(table, labels, names=names)
    drawn = inputs[0] if len(inputs) == 1 and data.task.input_kind in ("image", "vector") else None
    worst = worst_rows(table, labels, inputs=drawn, names=names) if pairs.errors else None
    sure = calibration(table, labels) if len(labels) >= FEWEST_ROWS else None
    figures = [
        pairs.figure(theme="neutral"),
        *([] if worst is None or drawn is None else [worst.figure(theme="neutral")]),
        *([] if sure is None else [sure.figure(theme="neutral")]),
    ]
    return RunErrors(name, pairs, worst, sure, tuple(svg(figure) for figure in figures))
