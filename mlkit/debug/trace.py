"""The torch functions that one segment of a program called, in order, with its live tensors: what, where, on what.

A segment is what happens between two steps, or around one evaluation pass. A trace can be cut to what a tensor was
computed from, and replayed with other values in place of some tensors.
Not here: the recording (`mlkit.debug.observe`), and any judgement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from mlkit.debug.sites import Site


def tensors_in(value: object, *, depth: int = 4) -> list[Tensor]:
    """Every tensor in nested lists, tuples, dicts, and objects that hold tensors as attributes (outputs of models)."""
    if isinstance(value, Tensor):
        return [value]
    if depth == 0 or value is None or isinstance(value, (str, bytes, int, float, nn.Module)):
        return []
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in tensors_in(item, depth=depth - 1)]
    if isinstance(value, (list, tuple, set)):
        return [tensor for item in value for tensor in tensors_in(item, depth=depth - 1)]
    if hasattr(value, "__dict__"):
        return [tensor for item in vars(value).values() for tensor in tensors_in(item, depth=depth - 1)]
    return []


@dataclass(eq=False)
class Op:
    """One call of a torch function.

    Args:
        index: its place in the trace.
        name: the function's bare name: ``cross_entropy``, ``add``, ``__getitem__``.
        function: what was called.
        args, kwargs: what it was called with, live.
        output: what it returned, live; None where it raised.
        site: the user's line.
        modules: names of the modules whose forward was running, outermost first, as ``Net.layers.2``.
        grad_enabled: whether a graph was recorded.
        error: the exception's text where it raised.
    """

    index: int
    name: str
    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    output: object
    site: Site | None
    modules: tuple[str, ...] = ()
    grad_enabled: bool = True
    error: str | None = None

    @property
    def inputs(self) -> list[Tensor]:
        return tensors_in([self.args, self.kwargs])

    @property
    def outputs(self) -> list[Tensor]:
        made = tensors_in(self.output)
        if self.is_in_place and self.args and isinstance(self.args[0], Tensor):
            target = self.args[0]
            made = [target, *(tensor for tensor in made if tensor is not target)]
        return made

    @property
    def is_in_place(self) -> bool:
        """Whether it writes into its first argument."""
        name = self.name
        return (
            (name.endswith("_") and not name.endswith("__"))
            or name in ("__setitem__", "copy_")
            or (name.startswith("__i") and name.endswith("__") and name not in ("__invert__", "__index__", "__int__"))
        )

    def argument(self, position: int, name: str, default: object = None) -> object:
        """An argument by position or name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)


@dataclass(eq=False)
class Call:
    """One call of a module that no other module made: the user's own ``model(x)`` or ``criterion(out, y)``.

    Args:
        module: it.
        args, kwargs, output: live.
        start, stop: the ops of its forward are ``ops[start:stop]``.
        training: the module's mode.
        grad_enabled: whether a graph was recorded.
        site: the user's line.
        number: how many calls of user modules the program had made before.
    """

    module: nn.Module
    args: tuple[object, ...]
    kwargs: dict[str, object]
    output: object
    start: int
    stop: int
    training: bool
    grad_enabled: bool
    site: Site | None
    number: int

    @property
    def has_parameters(self) -> bool:
        return next(self.module.parameters(), None) is not None


@dataclass(eq=False)
class ModuleCall:
    """One call of any module within a segment.

    Args:
        module: it.
        name: its name within the outermost module, as ``Net.layers.2``.
        inputs: its positional arguments, live.
        output: live.
        start, stop: the ops of its forward.
        site: the user's line that called it.
    """

    module: nn.Module
    name: str
    inputs: tuple[object, ...]
    output: object
    start: int
    stop: int
    site: Site | None


@dataclass(eq=False)
class Trace:
    """A segment: its ops and its calls of modules."""

    ops: list[Op] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    module_calls: list[ModuleCall] = field(default_factory=list)
    is_truncated: bool = False
    """Whether ops were left out because there were too many."""

    def producers(self) -> dict[int, Op]:
        """The id of each tensor -> the op that made it last."""
        return {id(tensor): op for op in self.ops for tensor in op.outputs}

    def behind(self, roots: Iterable[Tensor], *, stop: Iterable[Tensor] = ()) -> list[Op]:
        """The ops that ``roots`` were computed by, in order; nothing beyond the tensors ``stop``."""
        made: dict[int, list[Op]] = {}
        for op in self.ops:
            for tensor in op.outputs:
                made.setdefault(id(tensor), []).append(op)
        border = {id(tensor) for tensor in stop}
        wanted, seen, todo = set(), set(border), [tensor for tensor in roots if id(tensor) not in border]
        while todo:
            tensor = todo.pop()
            if id(tensor) in seen:
                continue
            seen.add(id(tensor))
            for op in made.get(id(tensor), ()):
                if op.index not in wanted:
                    wanted.add(op.index)
                    todo += op.inputs
        return [op for op in self.ops if op.index in wanted]

    def sources(self, roots: Iterable[Tensor], *, stop: Iterable[Tensor] = ()) -> list[Tensor]:
        """The tensors that ``roots`` were computed from and that no op of the segment made."""
        roots = list(roots)
        ops = self.behind(roots, stop=stop)
        made = {id(tensor) for op in ops for tensor in op.outputs if not op.is_in_place}
        found: dict[int, Tensor] = {}
        for tensor in [*roots, *(tensor for op in ops for tensor in op.inputs), *stop]:
            if id(tensor) not in made:
                found.setdefault(id(tensor), tensor)
        return list(found.values())

    def after(self, starts: Iterable[Tensor]) -> list[Op]:
        """The ops that use ``starts``, or what was computed from them, in order."""
        reached = {id(tensor) for tensor in starts}
        found = []
        for op in self.ops:
            if any(id(tensor) in reached for tensor in op.inputs):
                found.append(op)
                reached |= {id(tensor) for tensor in op.outputs}
        return found


def replay(ops: Sequence[Op], values: Mapping[int, object]) -> dict[int, object]:
    """Run ops again with other values for some tensors; what does not depend on them keeps its value.

    Args:
        ops: in order.
        values: id of a recorded tensor -> the value to use for it.

    Returns:
        id of a recorded tensor -> its new value, for all that changed.

    Raises:
        Exception: whatever an op raises on the new values.
    """
    known: dict[int, object] = dict(values)

    def exchanged(value: object) -> object:
        if isinstance(value, Tensor):
            return known.get(id(value), value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            make: Any = type(value)
            return make(*(exchanged(item) for item in value))
        if isinstance(value, list):
            return [exchanged(item) for item in value]
        if isinstance(value, tuple):
            return tuple([exchanged(item) for item in value])
        if isinstance(value, dict):
            return {key: exchanged(item) for key, item in value.items()}
        return value

    for op in ops:
        if not any(id(tensor) in known for tensor in op.inputs):
            continue
        args, kwargs = exchanged(op.args), exchanged(op.kwargs)
        assert isinstance(args, tuple)
        assert isinstance(kwargs, dict)
        if op.is_in_place and args and isinstance(args[0], Tensor):
            args = (args[0].clone(), *args[1:])
        result = op.function(*args, **kwargs)
        if op.is_in_place and op.args and isinstance(op.args[0], Tensor):
            known[id(op.args[0])] = args[0]
        old, new = tensors_in(op.output), tensors_in(result)
        for before, now in zip(old, new, strict=False):
            known[id(before)] = now
    return known


def modules_by_name(root: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, named from the outermost class: ``Net``, ``Net.layers.2``."""
    kind = type(root).__name__
    for name, module in root.named_modules():
        yield (f"{kind}.{name}" if name else kind), module
