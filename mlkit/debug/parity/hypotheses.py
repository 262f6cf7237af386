"""In which way one value departs from another: permuted, scaled, shifted, another activation, something not added.

Each hypothesis is tried on the values themselves and told only if it holds to rounding. Not here: which values
(`mlkit.debug.parity.compare`), and settings of modules (`.settings`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mlkit.debug.parity.measure import distance

Named = tuple[str, Tensor]
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu(approximate='tanh')": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu(0.01)": lambda x: F.leaky_relu(x, 0.01),
    "leaky_relu(0.1)": lambda x: F.leaky_relu(x, 0.1),
    "leaky_relu(0.2)": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "relu6": F.relu6,
    "softplus": F.softplus,
    "hardswish": F.hardswish,
    "mish": F.mish,
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "normalize": lambda x: F.normalize(x, dim=-1),
}
_ENOUGH = 8
"""Fewer numbers than this agree with some hypothesis by accident."""


def explain(mine: Tensor, reference: Tensor, earlier: Sequence[Named], *, close: float) -> str | None:
    """The first way in which ``mine`` is made of ``reference``, in words; None where no way is known.

    Args:
        mine: the value that departs.
        reference: what it should be.
        earlier: values of mine on the way to it, the latest last.
        close: relative distance up to which values count as equal.
    """
    if min(mine.numel(), reference.numel()) < _ENOUGH:
        return None

    def same(a: Tensor, b: Tensor) -> bool:
        return a.shape == b.shape and distance([a], [b]) <= close

    if mine.shape != reference.shape:
        return _other_shape(mine, reference, same)
    alike = [(name, x) for name, x in earlier if x.shape == mine.shape]
    ways = (
        _permuted_axes(mine, reference, same),
        _scaled(mine, reference, same),
        _function(mine, reference, alike, same),
        _combined(mine, reference, alike, same),
        _with_activation(mine, reference, alike, same),
        _reordered(mine, reference, same),
        _dropped(mine, reference),
        _shifted(mine, reference, close),
    )
    return next((told for way in ways for told in way), None)


Same = Callable[[Tensor, Tensor], bool]


def _other_shape(mine: Tensor, reference: Tensor, same: Same) -> str:
    if mine.ndim == reference.ndim <= 5:
        for order in itertools.permutations(range(mine.ndim)):
            if same(mine.permute(order), reference):
                return f"its axes are permuted: permute{order} of it is the reference"
    if mine.numel() == reference.numel() and same(mine.reshape(reference.shape), reference):
        return f"the same values in shape {tuple(mine.shape)} in place of {tuple(reference.shape)}"
    return f"its shape is {tuple(mine.shape)} in place of {tuple(reference.shape)}"


def _permuted_axes(mine: Tensor, reference: Tensor, same: Same) -> Iterable[str]:
    if mine.ndim <= 5:
        for order in itertools.permutations(range(mine.ndim)):
            if order != tuple(range(mine.ndim)) and same(mine.permute(order), reference):
                yield f"its axes are permuted: permute{order} of it is the reference"
    for axis in range(1, mine.ndim):
        if same(mine.flip(axis), reference):
            yield f"it is reversed along axis {axis}"


def _scaled(mine: Tensor, reference: Tensor, same: Same) -> Iterable[str]:
    power = float(reference.square().sum())
    factor = float((mine * reference).sum()) / power if power > 0 else math.nan
    if math.isfinite(factor) and factor != 0 and same(mine, factor * reference):
        yield "its sign is turned" if abs(factor + 1) < 1e-6 else f"it is scaled by {factor:.6g}"


def _function(mine: Tensor, reference: Tensor, alike: Sequence[Named], same: Same) -> Iterable[str]:
    """One activation in place of another, left out, or once too often."""
    for name, function in _FUNCTIONS.items():
        if same(function(mine), reference):
            yield f"{name} is left out"
        if same(function(reference), mine):
            yield f"{name} is applied once too often"
    for _, x in reversed(alike):
        right = [name for name, function in _FUNCTIONS.items() if same(function(x), reference)]
        wrong = [name for name, function in _FUNCTIONS.items() if same(function(x), mine)]
        if right and wrong:
            yield f"{wrong[0]} in place of {right[0]}"
        if right and same(x, mine):
            yield f"{right[0]} is left out"
        for axis, other in itertools.permutations(range(x.ndim), 2):
            if same(x.softmax(axis), mine) and same(x.softmax(other), reference):
                yield f"softmax over axis {axis} in place of axis {other}"


def _combined(mine: Tensor, reference: Tensor, alike: Sequence[Named], same: Same) -> Iterable[str]:
    """Something earlier that is not added or multiplied, or that is and should not be."""
    for name, x in reversed(alike):
        if not float(x.abs().max()):
            continue
        if same(mine + x, reference):
            yield f"{name} is not added to it (a missing residual connection)"
        if same(reference + x, mine):
            yield f"{name} is added to it once too often"
        if same(mine * x, reference):
            yield f"it is not multiplied by {name}"
    for name, x in reversed(alike):
        if same(x, reference):
            yield f"it should be {name}, unchanged"


def _with_activation(mine: Tensor, reference: Tensor, alike: Sequence[Named], same: Same) -> Iterable[str]:
    """The same behind an activation that both have."""
    for name, function in _FUNCTIONS.items():
        for one, x in reversed(alike):
            for other, z in reversed(alike):
                if x is z:
                    continue
                if same(function(x), mine) and same(function(x + z), reference):
                    yield f"{other} is not added before {name} (a missing residual connection)"
                if same(function(x) + z, mine) and same(function(x + z), reference):
                    yield f"{name} is applied before {other} is added, and not after"
                if same(function(x + z), mine) and same(function(x) + z, reference):
                    yield f"{name} is applied after {other} is added to {one}, and not before"


def _reordered(mine: Tensor, reference: Tensor, same: Same) -> Iterable[str]:
    """The same slices along one axis, in another order."""
    for axis in range(mine.ndim):
        if mine.shape[axis] < 2:
            continue
        a, b = (_slices(value, axis) for value in (mine, reference))
        # Slices are told apart by a projection; where two are alike, the check below says so.
        weights = torch.linspace(1, 2, a.shape[1], dtype=a.dtype, device=a.device)
        order = torch.empty(len(a), dtype=torch.long, device=a.device)
        order[(b @ weights).argsort()] = (a @ weights).argsort()
        if same(a[order], b):
            yield f"the same slices along axis {axis}, in another order"


def _dropped(mine: Tensor, reference: Tensor) -> Iterable[str]:
    gone = (mine == 0) & (reference != 0)
    share = float(gone.double().mean())
    rest = ~gone & (reference != 0)
    if 0.01 < share < 0.99 and bool(rest.any()):
        factors = (mine / torch.where(reference == 0, torch.ones_like(reference), reference))[rest]
        if float(factors.std()) < 1e-6 * float(factors.mean().abs()):
            yield f"{share:.0%} of it is zero and the rest is scaled by {float(factors.mean()):.4g}: dropout is active"


def _shifted(mine: Tensor, reference: Tensor, close: float) -> Iterable[str]:
    """A constant more or less, for all or for each channel; or a factor for each channel as well."""
    gap, scale = mine - reference, float(reference.abs().max())
    if float((gap - gap.mean()).abs().max()) <= close * scale:
        yield f"it is shifted by {float(gap.mean()):.6g}"
    for axis in range(1, mine.ndim):
        by_channel = _slices(gap, axis)
        if by_channel.shape[1] > 1 and float(by_channel.std(1).max()) <= close * scale:
            yield f"it is shifted by a constant for each place of axis {axis} (a bias is missing, or another one)"
    for axis in range(1, mine.ndim):
        a, b = (_slices(value, axis) for value in (mine, reference))
        if a.shape[1] > 3:
            at, bt = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
            slope = (at * bt).sum(1, keepdim=True) / bt.square().sum(1, keepdim=True).clamp_min(1e-300)
            if distance([at], [slope * bt]) <= close:
                low, high = float(slope.min()), float(slope.max())
                yield f"each place of axis {axis} is scaled, by {low:.6g} to {high:.6g}, and shifted"


def _slices(value: Tensor, axis: int) -> Tensor:
    """One row for each place of an axis."""
    return value.movedim(axis, 0).reshape(value.shape[axis], -1)
