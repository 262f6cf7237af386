"""Stacked normalisation layers; every member has its own statistics.

Not here: anything that mixes examples of different members, which no norm here does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, StackedLayer


class StackedBatchNorm(StackedLayer):
    """`torch.nn.BatchNorm1d`, ``2d`` or ``3d`` of all members.

    ``"wide"`` makes members channels of one norm, at the cost of a transposition each way; ``"loop"`` goes member by
    member, and takes 1.5 to 2.6 times as long for 16 channels of 8x8 pixels, batch 32, K = 8 and 32, on one thread.
    """

    kernels = ("wide", "loop")
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        first = cast("_BatchNorm", members[0])
        if first.momentum is None:
            raise cannot_stack(name, "batch normalisation with momentum=None")
        super().__init__(members, name, fold, tied)
        self.momentum, self.eps = first.momentum, first.eps
        self.check_input: Callable[[Tensor], None] = first._check_input_dim

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        own = self.split(self.fold.own(x))
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return self._loop(own) if self.kernel == "loop" else self._wide(own)

    def _loop(self, own: Tensor) -> Tensor:
        uses_batch = self.training or self.running_mean is None
        rows = [
            F.batch_norm(
                own[k],
                None if self.running_mean is None else self.running_mean[k],
                None if self.running_var is None else self.running_var[k],
                None if self.weight is None else self.weight[k],
                None if self.bias is None else self.bias[k],
                uses_batch,
                self.momentum,
                self.eps,
            )
            for k in range(len(own))
        ]
        return torch.cat(rows)

    def _wide(self, own: Tensor) -> Tensor:
        size, rows, channels, *rest = own.shape
        wide = own.transpose(0, 1).reshape(rows, size * channels, *rest)
        normed = F.batch_norm(
            wide,
            _flat(self.running_mean),
            _flat(self.running_var),
            _flat(self.weight),
            _flat(self.bias),
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
        )
        return normed.view(rows, size, channels, *rest).transpose(0, 1).flatten(0, 1)


def _flat(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.view(-1)


class StackedLayerNorm(StackedLayer):
    """`torch.nn.LayerNorm` and `torch.nn.RMSNorm`: examples are normed alone, so only gain and bias are stacked."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        super().__init__(members, name, fold, tied)
        first = cast("nn.LayerNorm | nn.RMSNorm", members[0])
        self.shape, self.eps = list(first.normalized_shape), first.eps
        self.centred = isinstance(first, nn.LayerNorm)

    def forward(self, x: Tensor) -> Tensor:
        if self.centred:
            normed = F.layer_norm(x, self.shape, eps=cast("float", self.eps))
        else:
            normed = F.rms_norm(x, self.shape, eps=self.eps)
        return _affine(self, normed, start=None, own=len(self.shape))


class StackedGroupNorm(StackedLayer):
    """`torch.nn.GroupNorm`: examples are normed alone, so only gain and bias are stacked."""

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        super().__init__(members, name, fold, tied)
        first = cast("nn.GroupNorm", members[0])
        self.groups, self.eps = first.num_groups, first.eps

    def forward(self, x: Tensor) -> Tensor:
        return _affine(self, F.group_norm(x, self.groups, eps=self.eps), start=2, own=1)


def _affine(layer: StackedLayerNorm | StackedGroupNorm, x: Tensor, *, start: int | None, own: int) -> Tensor:
    """Each member's gain and bias; ``start`` is the first axis they act on, None for the last ``own`` ones."""
    if layer.weight is None:
        return x
    rows = x[None] if layer.fold.is_shared(x) else layer.split(x)
    begin = rows.ndim - own if start is None else start
    if begin < 2:
        raise cannot_stack(layer.label, "it normalises over the examples")
    gain = layer.spread(layer.weight, rows, start=begin)
    bias = getattr(layer, "bias", None)
    if bias is None:
        return (rows * gain).flatten(0, 1)
    return torch.addcmul(layer.spread(bias, rows, start=begin), rows, gain).flatten(0, 1)
