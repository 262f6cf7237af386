"""How far two values are apart, and how far rounding alone can take them.

Not here: where they depart (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ROOM = 32.0
"""Rounding errors of two correct programs differ by the order of their sums; this factor is left for that."""


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """The largest relative distance between values: of root mean squares, and of the largest; inf for other shapes.

    >>> distance([torch.tensor([1.0, 2.0])], [torch.tensor([1.0, 2.0])])
    0.0
    """
    if len(one) != len(other):
        return math.inf
    found = 0.0
    for a, b in zip(one, other, strict=True):
        if a.shape != b.shape:
            return math.inf
        if not a.numel():
            continue
        x, y = a.detach().double(), b.detach().double()
        if not torch.equal(x.isfinite(), y.isfinite()):
            return math.inf
        x, y = x.nan_to_num(0.0, 0.0, 0.0), y.nan_to_num(0.0, 0.0, 0.0)
        for size in (_mean_size, _largest):
            scale = max(size(x), size(y))
            found = max(found, size(x - y) / scale if scale else 0.0)
    return found


def _mean_size(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _largest(x: Tensor) -> float:
    return float(x.abs().max())


def tolerance(dtype: torch.dtype, amplified: float) -> float:
    """How far two correct programs may be apart.

    Args:
        dtype: that they compute in.
        amplified: by how much the program itself blows up rounding: the distance of the reference in float32 from the
            reference in float64, in units of float32's spacing at 1.
    """
    return ROOM * max(amplified, 1.0) * torch.finfo(dtype).eps


def amplification(single: Sequence[Tensor], double: Sequence[Tensor]) -> float:
    """By how much a program blows up rounding, from its values in float32 and in float64."""
    gap = distance(single, double)
    return gap / torch.finfo(torch.float32).eps if math.isfinite(gap) else 1.0
