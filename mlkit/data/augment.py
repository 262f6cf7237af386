"""Augmentation by whole batches, on the device: flip, crop, shift, rotate, erase, mixup, noise.

Every example has its own draw, and all draws come from the generator that is given, so a resumed run sees the same
batches. Not here: when a batch is augmented and with which key (`mlkit.data.batches`).
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mlkit.data.batches import Augment
from mlkit.data.splits import Batch, Inputs
from mlkit.errors import ConfigError, DataError, Problem, did_you_mean
from mlkit.task import Task

Spec = str | Mapping[str, object]
Fill = Literal["reflect", "edge", "zero"]
_SPEC = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*")


def make_augment(specs: Spec | Sequence[Spec], *, task: Task | None = None) -> Augment:
    """One augmentation from a list of them, applied in the order given.

    Args:
        specs: names (``"flip"``), names with parameters (``"crop(4)"``, ``"shift(2, fill=edge)"``) or mappings
            (``{"name": "crop", "padding": 4}``); one or several of: ``flip``, ``crop``, ``shift``, ``rotate``,
            ``erase``, ``mixup``, ``noise``. The functions of this module with these names say what the parameters do.
        task: refuses at once what does not fit the data, tells ``mixup`` the number of classes, and keeps ``noise``
            off the padding of series.

    Returns:
        ``augment(batch, generator) -> batch``; the generator must be on the batch's device.

    Raises:
        ConfigError: an unknown name or parameter (with the closest one), a value out of range, or an augmentation that
            does not fit ``task``; all of them together.

    >>> augment = make_augment(["flip", "crop(2)"])
    >>> batch = Batch((torch.randn(4, 3, 8, 8),), torch.arange(4))
    >>> augment(batch, torch.Generator().manual_seed(0)).inputs[0].shape
    torch.Size([4, 3, 8, 8])
    """
    if isinstance(specs, (str, Mapping)):
        specs = [specs]
    steps: list[Augment] = []
    problems: list[Problem] = []
    for spec in specs:
        try:
            steps.append(_make(spec, task))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)

    def augment(batch: Batch, generator: torch.Generator) -> Batch:
        for step in steps:
            batch = step(batch, generator)
        return batch

    return augment


def flip(probability: float = 0.5) -> Augment:
    """Mirror images left to right, each with ``probability``. Not for digits and letters."""
    _check("flip", probability=(probability, 0.0, 1.0))

    def apply(x: Tensor, generator: torch.Generator) -> Tensor:
        chosen = torch.rand(len(x), generator=generator, device=x.device) < probability
        return torch.where(chosen[:, None, None, None], x.flip(3), x)

    return _on_images("flip", apply)


def crop(padding: int = 4, fill: Fill = "reflect") -> Augment:
    """Cut a window of the image's own size, at a random place, out of the image with ``padding`` pixels around it.

    Args:
        padding: pixels added on each side, so also the largest move.
        fill: what is added: ``"reflect"`` (the image mirrored), ``"edge"`` (its border repeated) or ``"zero"`` (after
            standardising, the mean).
    """
    return _moves("crop", "padding", padding, fill)


def shift(pixels: int = 2, fill: Fill = "edge") -> Augment:
    """Move images by up to ``pixels`` up or down and left or right; what comes in repeats the border (see `crop`)."""
    return _moves("shift", "pixels", pixels, fill)


def rotate(degrees: float = 15.0, fill: Fill = "edge") -> Augment:
    """Turn images around their centre by an angle uniform in ``[-degrees, degrees]``, bilinear."""
    _check("rotate", degrees=(degrees, 0.0, 180.0))
    _check_fill("rotate", fill)

    def apply(x: Tensor, generator: torch.Generator) -> Tensor:
        share = 2 * torch.rand(len(x), generator=generator, device=x.device) - 1
        return turned(x, math.radians(degrees) * share, fill)

    return _on_images("rotate", apply)


def turned(x: Tensor, angle: Tensor, fill: Fill = "edge") -> Tensor:
    """Each image of ``(N, C, H, W)`` turned by its own ``angle`` ``(N,)``, in radians, counter-clockwise to the eye.

    >>> turned(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.tensor([math.pi / 2])).round()
    tensor([[[[2., 4.],
              [1., 3.]]]])
    """
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    aspect = x.shape[2] / x.shape[3]  # the grid's units are half a width and half a height
    matrix = torch.stack([cos, -sin * aspect, zero, sin / aspect, cos, zero], dim=1).reshape(-1, 2, 3)
    grid = F.affine_grid(matrix.to(x.dtype), list(x.shape), align_corners=False)
    mode = {"reflect": "reflection", "edge": "border", "zero": "zeros"}[fill]
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=mode, align_corners=False)


def erase(size: int = 8) -> Augment:
    """Set a square of ``size`` pixels at a random place to zero (the mean, after standardising); it may stick out.

    Source: cutout, DeVries and Taylor 2017 (arXiv:1708.04552).
    """
    _check("erase", size=(size, 1, 1024))

    def apply(x: Tensor, generator: torch.Generator) -> Tensor:
        spans = []
        for length in x.shape[2:]:
            low = torch.randint(length, (len(x), 1), generator=generator, device=x.device) - size // 2
            line = torch.arange(length, device=x.device)
            spans.append((line >= low) & (line < low + size))
        hole = spans[0][:, None, :, None] & spans[1][:, None, None, :]
        return x.masked_fill(hole, 0.0)

    return _on_images("erase", apply)


def mixup(alpha: float = 0.2, num_classes: int | None = None) -> Augment:
    """Replace each example by a mixture with another of the batch, inputs and targets alike.

    Class targets become soft, float32 ``(N, num_classes)``; a cross entropy takes them as they are.

    Args:
        alpha: the share of one is drawn from Beta(alpha, alpha), above 0 up to 1: small leaves most nearly pure.
        num_classes: needed for class targets; `make_augment` takes it from the task.

    Source: Zhang et al. 2018, mixup: beyond empirical risk minimization (arXiv:1710.09412).
    """
    _check("mixup", alpha=(alpha, 1e-3, 1.0))

    def apply(batch: Batch, generator: torch.Generator) -> Batch:
        x = _first(batch.inputs)
        if not x.is_floating_point() or len(batch.inputs) > 1:
            what, received = "mixup is for a single input of floats", f"{len(batch.inputs)} inputs, the first {x.dtype}"
            raise ConfigError(what, received=received, todo="leave mixup out of data.augment")
        targets = _soft(batch.targets, num_classes)
        share = _beta(alpha, len(x), generator, x.device)
        partner = torch.randperm(len(x), generator=generator, device=x.device)
        mixed = _blend(x, x[partner], share)
        return Batch(_with_first(batch.inputs, mixed), _blend(targets, targets[partner], share))

    return apply


def noise(std: float = 0.1) -> Augment:
    """Add Gaussian noise of deviation ``std`` to the first input; inputs are standardised, so 0.1 is a tenth."""
    _check("noise", std=(std, 0.0, 100.0))

    def apply(batch: Batch, generator: torch.Generator) -> Batch:
        x = _first(batch.inputs)
        if not x.is_floating_point():
            raise ConfigError("noise is for inputs of floats", received=x.dtype, todo="leave noise out of data.augment")
        added = std * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return Batch(_with_first(batch.inputs, x + added), batch.targets)

    return apply


AUGMENTATIONS: dict[str, Callable[..., Augment]] = {
    function.__name__: function for function in (flip, crop, shift, rotate, erase, mixup, noise)
}
_FOR_IMAGES = ("flip", "crop", "shift", "rotate", "erase")


def _make(spec: Spec, task: Task | None) -> Augment:
    name, positional, named = _parse(spec)
    if name not in AUGMENTATIONS:
        hint = did_you_mean(name, AUGMENTATIONS)
        raise ConfigError("unknown augmentation", received=name, allowed=", ".join(AUGMENTATIONS), todo=hint)
    parameters = list(inspect.signature(AUGMENTATIONS[name]).parameters.values())
    known = [parameter.name for parameter in parameters]
    allowed = ", ".join(known)
    if len(positional) > len(known):
        raise ConfigError(f"too many parameters for '{name}'", received=str(spec), allowed=allowed)
    values = {**dict(zip(known, positional, strict=False)), **named}
    problems = [
        Problem(f"'{key}' of '{name}' is given twice", str(spec)) for key in known[: len(positional)] if key in named
    ]
    unknown = [key for key in values if key not in known]
    problems += [Problem(f"unknown parameter of '{name}'", key, allowed, did_you_mean(key, known)) for key in unknown]
    for parameter in parameters:
        problems += _type_problem(name, parameter, values)
    problems += _task_problem(name, task)
    if problems:
        raise ConfigError(problems)
    if name == "mixup" and task is not None and task.kind == "classification":
        values.setdefault("num_classes", task.num_outputs)
    augment = AUGMENTATIONS[name](**values)
    return _within_lengths(augment) if name == "noise" and task is not None and task.has_lengths else augment


def _parse(spec: Spec) -> tuple[str, list[object], dict[str, object]]:
    """Name, positional and named parameters of a specification."""
    if isinstance(spec, Mapping):
        rest = {str(key): value for key, value in spec.items() if key != "name"}
        return str(spec.get("name", "")), [], rest
    match = _SPEC.fullmatch(spec) if isinstance(spec, str) else None
    if match is None:
        allowed = "a name, or a name with parameters such as crop(4)"
        raise ConfigError("not an augmentation", received=repr(spec), allowed=allowed)
    positional: list[object] = []
    named: dict[str, object] = {}
    for part in filter(None, map(str.strip, (match[2] or "").split(","))):
        key, equals, value = part.partition("=")
        if equals:
            named[key.strip()] = _value(value.strip())
        else:
            positional.append(_value(part))
    return match[1], positional, named


def _value(text: str) -> int | float | str:
    """The number that ``text`` is, or the text itself."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text.strip("'\"")


def _type_problem(name: str, parameter: inspect.Parameter, values: dict[str, object]) -> list[Problem]:
    """Numbers where numbers are meant, whole ones where pixels are counted."""
    if parameter.name not in values or parameter.name == "fill":
        return []
    value = values[parameter.name]
    allowed: tuple[type, ...] = (int, float) if isinstance(parameter.default, float) else (int,)
    if isinstance(value, allowed) and not isinstance(value, bool):
        return []
    wanted = "a number" if float in allowed else "a whole number"
    return [Problem(f"wrong value for '{parameter.name}' of '{name}'", repr(value), wanted)]


def _task_problem(name: str, task: Task | None) -> list[Problem]:
    if task is None:
        return []
    fits = {
        **dict.fromkeys(_FOR_IMAGES, task.input_kind == "image"),
        "noise": task.input_kind in ("image", "series", "vector", "table"),
        "mixup": task.input_kind in ("image", "series", "vector")
        and task.kind != "next_token"
        and not task.has_lengths,
    }
    if fits[name]:
        return []
    possible = [other for other, fitting in fits.items() if fitting]
    received = f"data of kind '{task.input_kind}'" + (" with lengths" if task.has_lengths else "")
    allowed = ", ".join(possible) or "none"
    return [Problem(f"'{name}' does not fit the data", received, allowed, f"leave '{name}' out")]


def _check(name: str, **limits: tuple[float, float, float]) -> None:
    problems = [
        Problem(f"'{key}' of '{name}' is out of range", str(value), f"{low} to {high}")
        for key, (value, low, high) in limits.items()
        if not low <= value <= high
    ]
    if problems:
        raise ConfigError(problems)


def _check_fill(name: str, fill: str) -> None:
    if fill not in get_args(Fill):
        hint = did_you_mean(str(fill), get_args(Fill))
        raise ConfigError(f"unknown fill of '{name}'", received=fill, allowed=", ".join(get_args(Fill)), todo=hint)


def _first(inputs: Inputs) -> Tensor:
    return next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs[0]


def _with_first(inputs: Inputs, value: Tensor) -> Inputs:
    if isinstance(inputs, Mapping):
        return {**inputs, next(iter(inputs)): value}
    return (value, *inputs[1:])


def _on_images(name: str, apply: Callable[[Tensor, torch.Generator], Tensor]) -> Augment:
    def augment(batch: Batch, generator: torch.Generator) -> Batch:
        x = _first(batch.inputs)
        if x.ndim != 4 or not x.is_floating_point():
            raise DataError(
                f"'{name}' is for images",
                received=f"an input of shape {tuple(x.shape)} and {x.dtype}",
                allowed="floats of shape (N, C, H, W)",
                todo=f"leave '{name}' out of data.augment",
            )
        return Batch(_with_first(batch.inputs, apply(x, generator)), batch.targets)

    return augment


def _within_lengths(augment: Augment) -> Augment:
    """``augment``, with the padding of the first input left as it was; the last input holds the lengths."""

    def within(batch: Batch, generator: torch.Generator) -> Batch:
        x, *rest = batch.inputs.values() if isinstance(batch.inputs, Mapping) else batch.inputs
        changed = augment(batch, generator)
        inside = torch.arange(x.shape[1], device=x.device) < rest[-1][:, None]
        inside = inside.reshape(*inside.shape, *(1,) * (x.ndim - 2))
        return Batch(_with_first(changed.inputs, torch.where(inside, _first(changed.inputs), x)), changed.targets)

    return within


def _moves(name: str, parameter: str, most: int, fill: Fill) -> Augment:
    """Images moved by up to ``most`` pixels along both axes."""
    _check(name, **{parameter: (most, 0, 1024)})
    _check_fill(name, fill)

    def apply(x: Tensor, generator: torch.Generator) -> Tensor:
        height, width = x.shape[2:]
        rows = _moved(height, len(x), most, fill, generator, x.device)
        columns = _moved(width, len(x), most, fill, generator, x.device)
        moved = _take(_take(x, rows.clamp(0, height - 1), 2), columns.clamp(0, width - 1), 3)
        if fill != "zero":
            return moved
        inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None]
        return torch.where(inside, moved, 0.0)

    return _on_images(name, apply)


def _moved(n: int, batch: int, most: int, fill: Fill, generator: torch.Generator, device: torch.device) -> Tensor:
    """For each example, which of ``n`` rows each is taken from, ``(B, n)``; outside 0..n-1 only without reflection."""
    offset = torch.randint(-most, most + 1, (batch, 1), generator=generator, device=device)
    source = torch.arange(n, device=device) + offset
    if fill != "reflect" or n == 1:
        return source
    period = 2 * (n - 1)
    folded = source.remainder(period)
    return torch.minimum(folded, period - folded)


def _take(x: Tensor, index: Tensor, axis: Literal[2, 3]) -> Tensor:
    """Rows (axis 2) or columns (axis 3) of each image by its own index ``(B, n)``."""
    index = index[:, None, :, None] if axis == 2 else index[:, None, None, :]
    return x.gather(axis, index.expand_as(x))


def _soft(targets: Tensor, num_classes: int | None) -> Tensor:
    """Class indices as one-hot rows; what is soft or continuous already stays."""
    if targets.is_floating_point():
        return targets
    if num_classes is None:
        raise ConfigError(
            "mixup of classes needs their number",
            received="class indices, and no num_classes",
            todo="write mixup(0.2, num_classes=10), or give make_augment the task",
        )
    one_hot: Tensor = F.one_hot(targets, num_classes)
    return one_hot.float()


def _blend(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    share = share.reshape(-1, *(1,) * (a.ndim - 1)).to(a.dtype)
    return share * a + (1 - share) * b


def _beta(alpha: float, n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """``n`` draws of Beta(alpha, alpha), ``alpha`` up to 1, by Jöhnk's rejection with a fixed number of tries.

    The first of 24 tries that succeeds; each does with probability 1/2 or more. In logarithms, since u^(1/alpha)
    underflows for small alpha.
    """
    u, v = torch.rand(2, 24, n, generator=generator, device=device).clamp_min(1e-12).log() / alpha
    total = torch.logaddexp(u, v)
    first = (total <= 0).int().argmax(dim=0)
    share: Tensor = (u - total).exp().gather(0, first[None])[0]
    return share
