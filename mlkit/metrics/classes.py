"""Logits and classes, checked against each other, from what a model and a data set give.

Not here: what is computed from them (`mlkit.metrics.losses`, `mlkit.metrics.classification`, `mlkit.metrics.auc`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.errors import DataError, ModelError

IGNORED = -100  # target that does not count; the default of torch.nn.functional.cross_entropy


def logits_and_classes(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """One logit a class, ``(N, C)`` with C of at least 2, and the class of each example, int64 ``(N,)``.

    Args:
        output: logits ``(N, C)``; or, for two classes, the one logit ``z``, ``(N,)`` or ``(N, 1)``, which stands for
            the logits ``(0, z)``.
        target: classes ``(N,)`` or ``(N, 1)``, probabilities ``(N, C)`` of which the largest counts (mixup), or for two
            classes the probability of class 1, floats ``(N,)`` or ``(N, 1)``.

    Raises:
        ModelError: the output is neither.
        DataError: the targets are neither, or are not as many as the outputs.
    """
    logits = two_logits(output) if output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1) else output
    if logits.ndim != 2:
        raise ModelError(
            "the model's output is not logits of classes",
            received=f"output {tuple(output.shape)}",
            allowed="(N, C), or one logit (N,) or (N, 1) for two classes",
        )
    count, num_classes = logits.shape
    if target.shape == (count, num_classes):
        return logits, target.argmax(1)
    if target.shape not in ((count,), (count, 1)) or (target.is_floating_point() and num_classes > 2):
        raise not_classes(target, count, num_classes)
    classes = target.flatten()
    return logits, (classes > 0.5).long() if classes.is_floating_point() else classes.long()


def two_logits(logit: Tensor) -> Tensor:
    """The logits ``(0, z)`` that one logit ``z``, ``(N,)`` or ``(N, 1)``, stands for."""
    logit = logit.flatten()
    return torch.stack([torch.zeros_like(logit), logit], 1)


def is_stray(classes: Tensor, num_classes: int) -> Tensor:
    """Which classes are out of range, those marked as not counting aside."""
    return ((classes < 0) | (classes >= num_classes)) & (classes != IGNORED)


def not_classes(target: Tensor, count: int, num_classes: int) -> DataError:
    """The error for targets of a shape or type that cannot be classes."""
    return DataError(
        "targets that are not classes",
        received=f"shape {tuple(target.shape)}, {target.dtype}",
        allowed=f"class indices ({count},) as int64, or probabilities ({count}, {num_classes}) as floats",
        todo="targets.squeeze(-1).long() turns a column of classes into indices",
    )


def labels_out_of_range(received: str, num_classes: int) -> DataError:
    """The error for labels that are not among the classes."""
    return DataError(
        "labels out of range",
        received=received,
        allowed=f"0 to {num_classes - 1}, as the model has {num_classes} outputs; {IGNORED} for what does not count",
        todo="number the classes from 0, or give the model as many outputs as there are classes",
    )
