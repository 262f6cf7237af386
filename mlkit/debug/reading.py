"""Reading one example step by step: the torch ops it takes, the user's lines, and what changed after each of them.

For probes, in a forked child. Not here: which examples there are (`mlkit.debug.examples`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.data import ConcatDataset, Dataset, Subset

from mlkit.debug.examples import Examples, leaves_of
from mlkit.debug.observe.functions import bare_name
from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import Op, Trace

AfterLine = Callable[[Site, FrameType], None]


@dataclass(eq=False)
class Reading:
    """How one example was read.

    Args:
        inputs, label: what was read.
        trace: the torch ops.
        last: the last line of the outermost user function that ran.
    """

    inputs: tuple[Tensor, ...] = ()
    label: Tensor | None = None
    trace: Trace = field(default_factory=Trace)
    last: Site | None = None

    def site_of(self, tensor: Tensor) -> Site | None:
        """The line that made a tensor of the example, or at which the example was handed over."""
        op = self.trace.producers().get(id(tensor))
        return op.site if op is not None and op.site is not None else self.last


class _Ops(TorchFunctionMode):
    def __init__(self, trace: Trace, locator: Locator) -> None:
        super().__init__()
        self._trace, self._locator = trace, locator

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        ops = self._trace.ops
        site = self._locator.here(sys._getframe(1))
        ops.append(Op(len(ops), bare_name(func), func, args, kwargs, output, site))
        return output


def read_slowly(examples: Examples, index: int, locator: Locator, *, after_line: AfterLine | None = None) -> Reading:
    """Read one example of a loader's data set with its ops and lines; ``after_line`` is told of every line that ran."""
    reading = Reading()
    ran: dict[int, Site] = {}

    def in_user_code(frame: FrameType, event: str, argument: object) -> Any:
        site = ran.get(id(frame))
        if site is not None and event in ("line", "return") and after_line is not None:
            after_line(site, frame)
        if event == "return" and site is not None:
            reading.last = site
            ran.pop(id(frame), None)
        else:
            ran[id(frame)] = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        return in_user_code

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return in_user_code if locator.is_user_code(frame.f_code) else None

    item: object = None
    with _Ops(reading.trace, locator):
        sys.settrace(on_call)
        try:
            item = examples.dataset[index]
        finally:
            sys.settrace(None)
    inputs, label = examples.parts(item)
    own = leaves_of(item)
    reading.inputs = tuple(_as_read(one, own) for one in inputs)
    reading.label = _as_read(label, own) if label is not None else None
    return reading


def _as_read(tensor: Tensor, own: list[Tensor]) -> Tensor:
    """The tensor as the data set gave it, which collation copied."""
    return next((one for one in own if one.shape == tensor.shape and torch.equal(one, tensor.to(one.dtype))), tensor)


def owners(data: object, depth: int = 4) -> list[Any]:
    """A data set and those that it wraps, the outermost first."""
    found = [data]
    if depth and isinstance(data, Subset):
        found += owners(data.dataset, depth - 1)
    elif depth and isinstance(data, ConcatDataset):
        for one in data.datasets:
            found += owners(one, depth - 1)
    elif depth and isinstance(data, Dataset) and hasattr(data, "__dict__"):
        for one in vars(data).values():
            if isinstance(one, Dataset) and one is not data:
                found += owners(one, depth - 1)
    return found


def base(data: object) -> tuple[Any, list[int] | None]:
    """The data set under nested subsets, and which of its items these take (None for all)."""
    rows: list[int] | None = None
    while isinstance(data, Subset):
        mine = [int(index) for index in data.indices]
        rows = mine if rows is None else [mine[row] for row in rows]
        data = data.dataset
    return data, rows


def held(data: object, *, limit: int = 400, most: int = 64_000_000) -> list[Tensor | np.ndarray[Any, Any]]:
    """Tensors and arrays that a data set (and those it wraps) holds, up to a number and to a size in bytes."""
    found: list[Tensor | np.ndarray[Any, Any]] = []
    seen: set[int] = set()
    todo: list[tuple[object, int]] = [(one, 3) for one in owners(data)]
    size = 0
    while todo and len(found) < limit:
        value, depth = todo.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Tensor, np.ndarray)):
            size += value.nbytes
            if size > most:
                break
            if isinstance(value, Tensor) or value.dtype.kind in "fiub":
                found.append(value)
        elif depth and isinstance(value, dict):
            todo += [(one, depth - 1) for one in list(value.values())[:limit]]
        elif depth and isinstance(value, (list, tuple)):
            todo += [(one, depth - 1) for one in value[:limit]]
        elif depth and hasattr(value, "__dict__") and not isinstance(value, (type, torch.nn.Module)):
            todo += [(one, depth - 1) for one in vars(value).values()]
    return found
