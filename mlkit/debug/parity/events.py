"""What happened while a model ran once: every value that went into a module or came out, in order.

Not here: comparing two such records (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.debug.sites import Site
from mlkit.engine.nonfinite import tensors_in
from mlkit.engine.step import forward
from mlkit.runtime import rng

Side = Literal["in", "out"]
_OURS = ("mlkit/debug/", "mlkit/engine/")


@dataclass(frozen=True)
class Event:
    """Values at the entry or the exit of a module.

    Args:
        side: ``"in"`` or ``"out"``.
        module: its name; of the whole model, empty.
        call: how many calls of it came before.
        values: floating tensors, copied.
        depth: how many modules were under way around it.
        site: the line that called the module, at its entry.
    """

    side: Side
    module: str
    call: int
    values: tuple[Tensor, ...]
    depth: int
    site: Site | None = None


@dataclass
class Recording:
    """One run of a model.

    Args:
        events: in the order in which they happened.
        output: what was returned; None where it raised.
        problem: what it raised, in words.
        kinds: class of each module that was called, by name.
        calls: arguments of every call, by module and number, as they were.
    """

    events: list[Event] = field(default_factory=list)
    output: Any = None
    problem: str | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    calls: dict[tuple[str, int], tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)


def record(model: nn.Module, batch: Batch, *, seed: int, grad: bool = False) -> Recording:
    """Run a model once and keep what it was; the random streams are afterwards as they were.

    Args:
        model: in the mode that it is in; its buffers may change.
        batch: what it is called with.
        seed: of what it draws.
        grad: whether the output can be differentiated.
    """
    found = Recording()
    with rng.preserved(), torch.set_grad_enabled(grad), _watched(model, found):
        rng.seed_everything(seed)
        try:
            found.output = forward(model, batch)
        except Exception as error:
            told = str(error).strip().splitlines()
            found.problem = f"{type(error).__name__}: {told[0] if told else ''}"
    return found


@contextmanager
def _watched(model: nn.Module, found: Recording) -> Iterator[None]:
    count: Counter[str] = Counter()
    depth = [0]
    handles = []

    def watch(name: str, module: nn.Module) -> None:
        numbers: list[int] = []

        def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            number = count[name]
            count[name] += 1
            numbers.append(number)
            given = _copied((args, kwargs))
            found.kinds[name] = type(module).__name__
            found.calls[name, number] = given
            found.events.append(Event("in", name, number, _floats(given), depth[0], _caller()))
            depth[0] += 1

        def leave(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            depth[0] -= 1
            found.events.append(Event("out", name, numbers.pop(), _floats(_copied(output)), depth[0]))

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))

    for name, module in model.named_modules():
        watch(name, module)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _floats(values: Any) -> tuple[Tensor, ...]:
    return tuple(tensor for tensor in tensors_in(values) if tensor.is_floating_point())


def _copied(value: Any) -> Any:
    """The same values in memory of their own, since modules may write into theirs."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(item) for item in value)
    return value


def _caller() -> Site | None:
    """The line that called the module: the first frame outside torch's own calling of modules."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename.replace("\\", "/")
        is_torchs = name.endswith(("torch/nn/modules/module.py", "torch/nn/modules/container.py"))
        if not is_torchs and not any(folder in name for folder in _OURS):
            return Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        frame = frame.f_back
    return None
