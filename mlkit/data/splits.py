"""Splits: the examples of one part of a data set, gathered by index as whole batches.

A resident split keeps compact tensors (uint8 images stay uint8) and gathers, then prepares, a whole batch at once on
its device. Not here: order, shuffling and augmentation (`mlkit.data.batches`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

Inputs = tuple[Tensor, ...] | Mapping[str, Tensor]


class Batch(NamedTuple):
    """What a model and a loss get: called as ``model(*inputs)`` for a tuple, ``model(**inputs)`` for a mapping."""

    inputs: Inputs
    targets: Tensor


class Split(Protocol):
    """What the rest of mlkit needs of a split."""

    def __len__(self) -> int:
        """Number of examples."""

    def gather(self, index: Tensor) -> Batch:
        """The examples at ``index`` (int64, shape ``(B,)``, on the split's device), ready for the model."""

    def subset(self, index: Tensor) -> Split:
        """The examples at ``index``, in that order, as a split of their own."""

    def to(self, device: torch.device | str) -> Split:
        """The same split with its tensors on ``device``."""

    @property
    def targets(self) -> Tensor:
        """All targets, first axis = examples."""

    @property
    def device(self) -> torch.device:
        """Where `gather` expects its index and leaves its batches."""

    def tensors(self) -> Mapping[str, Tensor]:
        """All that batches are made of, by name: what is stored and what it is prepared with; for the fingerprint."""


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
class Affine:
    """Casts the first input to float32 and computes ``x * scale + shift``: standardisation of compact inputs.

    Args:
        scale: broadcast against the first input, ``(C, 1, 1)`` for images.
        shift: likewise.
    """

    scale: Tensor
    shift: Tensor

    @classmethod
    def standardize(cls, mean: Tensor, std: Tensor, *, unit: float = 1.0) -> Affine:
        """``(x / unit - mean) / std``; a deviation of zero counts as one, so that a constant channel becomes zero."""
        std = torch.where(std > 0, std, torch.ones_like(std)).float()
        return cls(scale=1.0 / (unit * std), shift=-mean.float() / std)

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first = inputs[0].to(torch.float32)
        if first is inputs[0]:
            first = first * self.scale
        else:
            first.mul_(self.scale)
        return (first.add_(self.shift), *inputs[1:])

    def to(self, device: torch.device | str) -> Affine:
        return Affine(self.scale.to(device), self.shift.to(device))


@dataclass(frozen=True, eq=False)
class TensorSplit:
    """Examples kept as tensors.

    Args:
        inputs: one tensor an input, each ``(N, ...)``, in the most compact dtype that holds the values.
        targets: ``(N, ...)``; int64 classes, or float32.
        prepare: makes a gathered batch ready for the model, on the device; None when it is ready as it is.
    """

    inputs: tuple[Tensor, ...]
    targets: Tensor
    prepare: Affine | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def device(self) -> torch.device:
        return self.targets.device

    def gather(self, index: Tensor) -> Batch:
        inputs = tuple([x.index_select(0, index) for x in self.inputs])
        if self.prepare is not None:
            inputs = self.prepare(inputs)
        return Batch(inputs, self.targets.index_select(0, index))

    def subset(self, index: Tensor) -> TensorSplit:
        """The examples at ``index``, in that order."""
        return replace(self, inputs=tuple(x[index] for x in self.inputs), targets=self.targets[index])

    def to(self, device: torch.device | str) -> TensorSplit:
        prepare = None if self.prepare is None else self.prepare.to(device)
        return TensorSplit(tuple(x.to(device) for x in self.inputs), self.targets.to(device), prepare)

    def tensors(self) -> Mapping[str, Tensor]:
        prepare = {} if self.prepare is None else {"scale": self.prepare.scale, "shift": self.prepare.shift}
        return {**{f"input{i}": x for i, x in enumerate(self.inputs)}, "targets": self.targets, **prepare}


@dataclass(frozen=True, eq=False)
class WindowSplit:
    """Windows of one long series: examples share storage, so a window costs one number.

    Input is ``series[s : s + context]``. The target is ``series[s + 1 : s + 1 + context]`` for the next token
    (``horizon`` 0), else ``series[s + context : s + context + horizon, target_columns]`` flattened.

    Args:
        series: ``(L,)`` tokens or ``(L, C)`` values.
        starts: int64 ``(N,)``, first position of each window.
        context: length of the input.
        horizon: steps to forecast; 0 means predict every next token.
        target_columns: the columns that are forecast.
    """

    series: Tensor
    starts: Tensor
    context: int
    horizon: int = 0
    target_columns: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def device(self) -> torch.device:
        return self.series.device

    def gather(self, index: Tensor) -> Batch:
        starts = self.starts.index_select(0, index)
        window = self._take(starts, self.context)
        if self.series.dtype in (torch.uint8, torch.int16, torch.int32):
            window = window.long()
        return Batch((window,), self._target(starts))

    @property
    def targets(self) -> Tensor:
        return self._target(self.starts)

    def _take(self, starts: Tensor, length: int) -> Tensor:
        return self.series[starts[:, None] + torch.arange(length, device=starts.device)]

    def _target(self, starts: Tensor) -> Tensor:
        if self.horizon == 0:
            return self._take(starts + 1, self.context).long()
        future = self._take(starts + self.context, self.horizon)
        if future.ndim == 3:
            future = future[..., list(self.target_columns)]
        return future.flatten(1).float()

    def subset(self, index: Tensor) -> WindowSplit:
        """The windows at ``index``, in that order."""
        return replace(self, starts=self.starts[index])

    def to(self, device: torch.device | str) -> WindowSplit:
        return replace(self, series=self.series.to(device), starts=self.starts.to(device))

    def tensors(self) -> Mapping[str, Tensor]:
        window = torch.tensor([self.context, self.horizon, *self.target_columns])
        return {"series": self.series, "starts": self.starts, "window": window}
