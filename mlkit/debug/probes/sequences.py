"""Batches of sequences: the padding at their ends, told by the values alone, and targets laid out as (batch, time).

Not here: what the loss does with them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.scene import Head, Scene

_LAYING = frozenset(["view", "reshape", "flatten", "contiguous", "to", "long", "clone", "ravel", "type", "int"])


def table_of(scene: Scene, tensor: Tensor) -> Tensor:
    """The tensor of two axes that a flat one was laid out from; the tensor itself where it has two or more."""
    producers = scene.trace.producers()
    current = tensor
    for _ in range(8):
        op = producers.get(id(current))
        if current.dim() == 2 and 1 not in current.shape:
            return current
        if op is None or op.name not in _LAYING or not op.inputs or op.inputs[0].numel() != current.numel():
            break
        current = op.inputs[0]
    return current


def padding_of(values: Tensor) -> tuple[Tensor, object] | None:
    """The length of every row's padding, and its value; None where there is none.

    Padding is a value that stands at the ends of rows, in runs of several lengths, and nowhere else.

    Args:
        values: (batch, time), numbers or labels.
    """
    rows, length = values.shape
    if rows < 4 or length < 4:
        return None
    last = values[:, -1]
    kinds, counts = torch.unique(last, return_counts=True)
    pad = kinds[counts.argmax()]
    is_pad = values == pad
    runs = is_pad.flip(1).long().cumprod(1).sum(1)
    if int(is_pad.sum()) != int(runs.sum()):
        return None
    if (
        float((runs >= 2).float().mean()) < 0.3
        or len(set(runs.tolist())) < (3 if rows >= 8 else 2)
        or int(runs.max()) == length
    ):
        return None
    return runs, pad.item()


def frames(values: Tensor) -> Tensor | None:
    """(batch, time) of any input of sequences: tokens as they are, frames of features as whether they are all zero."""
    if values.dim() == 2 and not values.is_complex() and values.dtype != torch.bool:
        return values
    if values.dim() == 3 and values.is_floating_point():
        return (values != 0).any(-1).long()
    return None


def scores_by_position(head: Head, tensor: Tensor) -> Tensor | None:
    """A tensor of the prediction's shape as (positions of the target, classes); None where it does not fit."""
    target, prediction = head.target, head.prediction
    if target is None:
        return None
    if head.kind == "classes" or (prediction.numel() != target.numel() and prediction.dim() == target.dim() + 1):
        axis = 1 if head.is_known and prediction.dim() > 1 else prediction.dim() - 1
        moved = tensor.movedim(axis, -1)
        if prediction.shape[axis] < 2 or moved[..., 0].numel() != target.numel():
            return None
        return moved.reshape(target.numel(), -1)
    return tensor.reshape(target.numel(), 1) if prediction.numel() == target.numel() else None
