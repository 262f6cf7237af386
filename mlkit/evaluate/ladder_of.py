"""`ladder_of`: the error ladder of a model that was trained, judged row by row on every split of its data.

Not here: the ladder's arithmetic (`mlkit.evaluate.ladder`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn

from mlkit.data.batches import SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Split
from mlkit.engine.evaluation import evaluation_mode
from mlkit.engine.result import FitResult
from mlkit.engine.step import forward
from mlkit.errors import ConfigError
from mlkit.evaluate.differences import Floats
from mlkit.evaluate.evidence import Errors
from mlkit.evaluate.ladder import Ladder, error_ladder
from mlkit.metrics.classes import IGNORED, logits_and_classes
from mlkit.metrics.losses import loss_for
from mlkit.metrics.streaming import at_least_single
from mlkit.task import Task

BATCH_SIZE = 512


def ladder_of(
    result: FitResult | nn.Module,
    data: DataBundle,
    *,
    of: Literal["auto", "error", "loss"] = "auto",
    human: Errors | float | None = None,
    human_on_train: bool = False,
) -> Ladder:
    """Judge a trained model on every split, row by row, and make its error ladder.

    Args:
        result: what `fit` returned, or the model; it is left as it is found.
        data: the bundle it was trained on.
        of: ``"error"`` counts wrong classes, ``"loss"`` takes the loss of the task; ``"auto"`` is the error for
            classes and the loss for anything else.
        human: error of people, or a goal; see `error_ladder`.
        human_on_train: see `error_ladder`.

    Raises:
        ConfigError: the error rate of a task that has none.
        MlkitError: what `error_ladder` refuses, or a model whose output does not fit.

    >>> from mlkit.data.adapt import from_tensors
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> bundle = from_tensors(x, (x[:, 0] > 0).long())
    >>> ladder_of(nn.Linear(2, 2), bundle, human=0.0).counts
    {'human': 0, 'train': 180, 'val': 20}
    """
    model = result if isinstance(result, nn.Module) else result.state.eval_model
    kind = ("error" if data.task.kind == "classification" else "loss") if of == "auto" else of
    if kind == "error" and data.task.kind != "classification":
        raise ConfigError(f"{data.task.kind} has no error rate", received="of='error'", allowed="of='loss'")
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    rows = {name: errors_of(model, split.to(device), data.task, of=kind) for name, split in data.splits()}
    return error_ladder(
        train=rows["train"],
        val=rows["val"],
        target_val=rows.get("target_val"),
        test=rows.get("test"),
        human=human,
        human_on_train=human_on_train,
    )


def errors_of(model: nn.Module, split: Split, task: Task, *, of: Literal["error", "loss"]) -> Floats:
    """Error (0 or 1) or loss of every row of ``split``, in order, in evaluation mode; unlabelled rows have no error."""
    loss = loss_for(task)
    found = []
    with evaluation_mode(model):
        for batch in SplitBatches(split, BATCH_SIZE).epoch(0):
            output = at_least_single(forward(model, batch))
            if of == "loss":
                found.append(loss.per_example(output, batch.targets))
            else:
                logits, classes = logits_and_classes(output, batch.targets)
                counts = classes != IGNORED
                found.append(logits.argmax(1)[counts] != classes[counts])
    return np.asarray(torch.cat(found).double().cpu().numpy(), dtype=np.float64)
