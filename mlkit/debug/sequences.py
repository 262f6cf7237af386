"""Sequences of a scene: which axis of a tensor is time, how targets lie against inputs, where the padding is.

Not here: what is made of it (`probes/causality`, `probes/padding`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mlkit.debug.scene import Scene

LEAST_STEPS = 4


@dataclass(eq=False)
class NextStep:
    """An input whose values, one step on, are the targets.

    Args:
        tensor: the input.
        batch_axis, time_axis: of it.
        rows, steps: their sizes.
        predicted: how many time steps the prediction has.
    """

    tensor: Tensor
    batch_axis: int
    time_axis: int
    rows: int
    steps: int
    predicted: int


def next_step(scene: Scene, tensors: list[Tensor], target: Tensor) -> NextStep | None:
    """The first of ``tensors`` of which ``target`` is the same sequence, one step later; None where there is none."""
    for one in tensors:
        if one.dim() < 2 or one.requires_grad or min(one.shape[:2]) < 1:
            continue
        for batch_axis, time_axis in ((0, 1), (1, 0)):
            rows, steps = one.shape[batch_axis], one.shape[time_axis]
            if steps < LEAST_STEPS:
                continue
            values = one.detach().movedim((batch_axis, time_axis), (0, 1))
            for predicted in (steps, steps - 1):
                wanted = by_time(target.detach(), rows, predicted, time_first=time_axis == 0)
                if wanted is not None and _is_shifted(values, wanted):
                    return NextStep(one, batch_axis, time_axis, rows, steps, predicted)
    return None


def by_time(value: Tensor, rows: int, steps: int, *, time_first: bool) -> Tensor | None:
    """A tensor as (rows, steps, …): given so, with classes between, or flattened; None where it does not fit."""
    shape = tuple(value.shape)
    first, second = (steps, rows) if time_first else (rows, steps)
    if shape[:2] == (first, second):
        return value.transpose(0, 1) if time_first else value
    if len(shape) == 3 and shape[0] == rows and shape[2] == steps:
        return value.transpose(1, 2)
    if shape and shape[0] == rows * steps:
        value = value.reshape(first, second, *shape[1:])
        return value.transpose(0, 1) if time_first else value
    return None


def _is_shifted(values: Tensor, wanted: Tensor) -> bool:
    """Whether ``wanted[:, t] == values[:, t + 1]``, except where the target says nothing, and not by being constant."""
    steps = min(values.shape[1] - 1, wanted.shape[1])
    if steps < LEAST_STEPS - 1:
        return False
    while wanted.dim() > values.dim() and wanted.shape[-1] == 1:
        wanted = wanted.squeeze(-1)
    while values.dim() > wanted.dim() and values.shape[-1] == 1:
        values = values.squeeze(-1)
    if (
        values[:, 1 : steps + 1].shape != wanted[:, :steps].shape
        or values.is_floating_point() != wanted.is_floating_point()
    ):
        return False
    now, then, seen = values[:, :steps], values[:, 1 : steps + 1], wanted[:, :steps]
    if values.is_floating_point():
        return bool(torch.allclose(then, seen.to(then), rtol=1e-4, atol=1e-6)) and not bool(torch.allclose(now, then))
    counts = (seen >= 0) & (then == seen)
    valid = seen >= 0
    differs = (now != then) & valid
    if int(valid.sum()) < LEAST_STEPS or float(differs.float().sum()) < 0.2 * float(valid.sum()):
        return False
    # Pads may have another number in the targets (ignore_index), or be the same in both.
    return float(counts.float().sum()) > 0.97 * float(valid.sum())


@dataclass(eq=False)
class Padding:
    """Trailing padding of a batch of token numbers.

    Args:
        tensor: the input.
        batch_axis, time_axis: of it.
        pad: the number that fills.
        lengths: how many numbers of each row come before it.
    """

    tensor: Tensor
    batch_axis: int
    time_axis: int
    pad: int
    lengths: list[int]

    @property
    def steps(self) -> int:
        return int(self.tensor.shape[self.time_axis])


def padding_of(tensor: Tensor, rows: int) -> Padding | None:
    """The padding of a tensor of token numbers: a number that fills the ends of rows, and stands nowhere else."""
    if tensor.dim() != 2 or tensor.is_floating_point() or tensor.dtype == torch.bool or rows < 4:
        return None
    for batch_axis in (0, 1):
        if tensor.shape[batch_axis] != rows or tensor.shape[1 - batch_axis] < LEAST_STEPS + 1:
            continue
        values = tensor.detach().movedim(batch_axis, 0)
        ends, counts = torch.unique(values[:, -1], return_counts=True)
        pad = int(ends[counts.argmax()])
        is_pad = values == pad
        trailing = is_pad.flip(1).long().cumprod(1).flip(1).bool()
        lengths = (~trailing).sum(1)
        steps = values[:, 1:] - values[:, :-1]
        is_sorted = bool((steps >= 0).all()) or bool((steps <= 0).all())
        if is_sorted or int((lengths < values.shape[1] - 1).sum()) < 0.2 * rows:
            continue
        if int((is_pad & ~trailing).sum()) or int((lengths < values.shape[1]).sum()) < 0.3 * rows:
            continue
        if int((lengths == 0).sum()) or len(set(lengths.tolist())) < 3:
            continue
        return Padding(tensor, batch_axis, 1 - batch_axis, pad, [int(one) for one in lengths])
    return None


def told_padding(given: list[Tensor], rows: int) -> Padding | None:
    """The padding of measured values, where another argument tells how long each row is: lengths, or a mask."""
    for one in given:
        if not one.is_floating_point() or one.dim() not in (2, 3) or one.requires_grad or rows < 4:
            continue
        for batch_axis in (0, 1):
            time_axis = 1 - batch_axis
            if one.shape[batch_axis] != rows or one.shape[time_axis] < LEAST_STEPS:
                continue
            values = one.detach().movedim(batch_axis, 0)
            for other in given:
                lengths = _told_lengths(other, one, batch_axis) if other is not one else None
                if lengths is not None and _is_filled_behind(values, lengths):
                    return Padding(one, batch_axis, time_axis, 0, lengths)
    return None


def _told_lengths(other: Tensor, values: Tensor, batch_axis: int) -> list[int] | None:
    """How long each row is, if a tensor tells; some row must be shorter than the longest."""
    rows, steps = values.shape[batch_axis], values.shape[1 - batch_axis]
    if other.dim() == 1 and other.shape[0] == rows and not other.is_floating_point() and other.dtype != torch.bool:
        lengths = [int(value) for value in other]
    elif other.shape == values.shape[:2] or other.shape == (*values.shape[:2], 1):
        mask = (other.reshape(values.shape[:2]) != 0).movedim(batch_axis, 0)
        keep = mask if bool(mask[:, 0].all()) else ~mask
        lengths = keep.sum(1).tolist()
        if any(not bool(row[:length].all()) for row, length in zip(keep, lengths, strict=True)):
            return None
    else:
        return None
    return lengths if 1 <= min(lengths) < max(lengths) <= steps else None


def _is_filled_behind(values: Tensor, lengths: list[int]) -> bool:
    """Whether zeros stand behind the end of every row, and something else at most ends."""
    rest = all(not bool(row[length:].any()) for row, length in zip(values, lengths, strict=True))
    ends = sum(bool(row[length - 1].any()) for row, length in zip(values, lengths, strict=True))
    return rest and ends > 0.5 * len(lengths)
