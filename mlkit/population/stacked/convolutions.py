"""Stacked convolutions, each with several ways to compute them, since none is the fastest for all shapes.

Not here: how a way is picked (`mlkit.population.stacked.kernels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, StackedLayer


class StackedConv(StackedLayer):
    """`torch.nn.Conv1d` or ``Conv2d`` of all members.

    ``"loop"`` convolves member by member. ``"wide"`` makes members groups of channels of one convolution; a batch that
    all share then needs no groups. Which is faster depends on the shapes: on one thread, batch 32 and K = 32, wide
    takes 0.4x to 0.7x of the loop's time for the layers of ResNet-20 at 8x8 pixels and the first of LeNet, 1.4x for
    LeNet's second. Patches laid out as columns and multiplied as matrices took 3 to 10 times as long, and are gone.
    """

    kernels = ("loop", "wide")
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self, members: Sequence[nn.Module], name: str, fold: Fold, tied: dict[int, nn.Parameter] | None = None
    ) -> None:
        first = cast("nn.Conv1d | nn.Conv2d", members[0])
        if first.padding_mode != "zeros":
            raise cannot_stack(name, f"a convolution with padding_mode={first.padding_mode!r}")
        super().__init__(members, name, fold, tied)
        self.axes = len(first.kernel_size)
        self.stride, self.padding, self.dilation = first.stride, first.padding, first.dilation
        self.groups = first.groups

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != self.axes + 2:
            raise cannot_stack(self.label, "a convolution of one example without a batch", received=tuple(x.shape))
        shared = self.fold.is_shared(x)
        if self.kernel == "wide":
            return self._wide_shared(x) if shared and self.groups == 1 else self._wide(self.split(self.fold.own(x)))
        return self._loop([x] * self.fold.size if shared else list(self.split(x)))

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        convolve = cast("Callable[..., Tensor]", F.conv1d if self.axes == 1 else F.conv2d)
        return convolve(x, weight, bias, self.stride, self.padding, self.dilation, groups)

    def _loop(self, members: Sequence[Tensor]) -> Tensor:
        weights = self.weight.unbind()
        biases = [None] * len(weights) if self.bias is None else self.bias.unbind()
        return torch.cat(
            [self._convolve(x, w, b, self.groups) for x, w, b in zip(members, weights, biases, strict=True)]
        )

    def _wide(self, own: Tensor) -> Tensor:
        size, rows, channels, *rest = own.shape
        wide = own.transpose(0, 1).reshape(rows, size * channels, *rest)
        bias = None if self.bias is None else self.bias.flatten()
        return self._narrow(self._convolve(wide, self.weight.flatten(0, 1), bias, size * self.groups))

    def _wide_shared(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.flatten()
        return self._narrow(self._convolve(x, self.weight.flatten(0, 1), bias, 1))

    def _narrow(self, wide: Tensor) -> Tensor:
        return torch.unflatten(wide, 1, (self.fold.size, -1)).transpose(0, 1).flatten(0, 1)
