"""Looks on while a model runs once: shapes, calls, FLOPs and memory by module, leaving the model as it was.

Not here: how the record is shown (`mlkit.models.summary`).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mlkit.runtime.rng import preserved

Shape = tuple[int, ...] | str | list[Any] | dict[str, Any] | None


class Record:
    """What was seen of one forward pass; modules are known by `id`, since one module can have several names."""

    def __init__(self) -> None:
        self.shapes: dict[int, Shape] = {}
        self.calls: Counter[int] = Counter()
        self.flops: Counter[int] = Counter()  # of the module itself, those of modules that it called left out
        self.touched: set[int] = set()  # storages that an operation read
        self.saved: dict[int, int] = {}  # bytes by storage that autograd keeps for the backward pass

    def used(self, module: nn.Module) -> bool:
        """It or a module in it was called, or its parameters (a tied weight, say) were read by someone else."""
        if any(self.calls[id(inner)] for inner in module.modules()):
            return True
        return any(_storage(p) in self.touched for p in module.parameters() if p.numel())


def record(model: nn.Module, call: Callable[[], object], *, inputs: Sequence[Tensor] = ()) -> Record:
    """Run ``call``, which calls ``model``, in evaluation mode.

    Weights, ``inputs``, modes, buffers and random generators are put back, also when ``call`` raises.
    """
    seen = Record()
    with ExitStack() as stack:
        stack.enter_context(preserved())
        stack.enter_context(_as_it_was(model))
        guard = stack.enter_context(_guarded(model, inputs))
        model.eval()
        counter = FlopCounterMode(display=False)
        stack.enter_context(_hooks(model, seen, counter))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_plain_attention())
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_saver(model, seen), lambda kept: kept))
        stack.enter_context(_Watch(seen.touched, guard))
        stack.enter_context(warnings.catch_warnings())
        # The counter's hooks see a compiled inner module twice, which changes none of its totals.
        warnings.filterwarnings("ignore", message="Using `torch.compile\\(module\\)` when there are global hooks")
        stack.enter_context(counter)
        output = call()  # kept until here, so that no saved storage is freed and its address used twice
        del output
    return seen


def recurrent_flops(module: nn.RNNBase, steps: int) -> int:
    """FLOPs of ``steps`` steps, all examples together, of an LSTM, GRU or RNN: two for each weight and step.

    An LSTM layer of h units on i inputs has 4 h (h + i) weights, hence 8 h (h + i). Biases and gates are not counted,
    as in `torch.utils.flop_counter`.

    >>> recurrent_flops(nn.LSTM(12, 128), steps=1) == 8 * 128 * (128 + 12)
    True
    """
    weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
    return 2 * weights * steps


@contextmanager
def _hooks(model: nn.Module, seen: Record, counter: FlopCounterMode) -> Iterator[None]:
    open_calls: list[list[int]] = []  # for each module under way: total at entry, FLOPs of the modules it called

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        open_calls.append([counter.get_total_flops(), 0])

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        at_entry, called = open_calls.pop()
        counted = counter.get_total_flops() - at_entry
        own = counted - called
        series = args[0] if args else kwargs.get("input")
        if isinstance(module, nn.RNNBase) and series is not None:  # fused kernels hide their matrix products
            own = recurrent_flops(module, _steps(series))
        seen.calls[id(module)] += 1
        seen.shapes[id(module)] = shape_of(output)
        seen.flops[id(module)] += own
        if open_calls:
            open_calls[-1][1] += counted

    handles = []
    for module in model.modules():
        handles.append(module.register_forward_pre_hook(enter, prepend=True))
        handles.append(module.register_forward_hook(leave, with_kwargs=True, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention by the plain formula: some fused kernels are unknown to the counter, and the FLOPs are the same."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    # A forward pass may also put other tensors in their place, or in the place of None.
    tables: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (table, dict(table)) for m in model.modules() for table in (m._parameters, m._buffers)
    ]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for table, entries in tables:
            table.clear()
            table.update(entries)


class _Guard:
    """Copies of tensors, made just before something writes into them: most passes write nothing, and pay nothing.

    Storages are copied and put back, since that does not count as a change: a backward pass that the user still has to
    do goes on.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        found = ((_storage(tensor), _untyped_storage(tensor)) for tensor in tensors if tensor.numel())
        self.storages = {key: storage for key, storage in found if storage is not None}
        self.copies: dict[int, torch.UntypedStorage] = {}

    def keep(self, tensor: Tensor) -> None:
        """Copy ``tensor``, if it is one of the guarded ones and was not copied before."""
        key = _storage(tensor)
        if key in self.storages and key not in self.copies:
            self.copies[key] = self.storages[key].clone()  # type: ignore[no-untyped-call]

    def before(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Keep what the operation ``func`` declares that it writes."""
        for position, argument in enumerate(func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            for leaf in tree_leaves(value):
                if isinstance(leaf, Tensor):
                    self.keep(leaf)


@contextmanager
def _guarded(model: nn.Module, inputs: Sequence[Tensor]) -> Iterator[_Guard]:
    guard = _Guard([*model.parameters(), *model.buffers(), *inputs])
    for buffer in model.buffers():  # beforehand: the kernels of batch normalisation do not declare that they write them
        guard.keep(buffer)
    try:
        yield guard
    finally:
        for key, copy in guard.copies.items():
            guard.storages[key].copy_(copy)


def _saver(model: nn.Module, seen: Record) -> Callable[[Tensor], Tensor]:
    """Notes the bytes of each saved tensor once, weights and buffers left out: they are not activations."""
    own = {_storage(tensor) for tensor in (*model.parameters(), *model.buffers())}

    def pack(tensor: Tensor) -> Tensor:
        key = _storage(tensor)
        if key not in own:
            seen.saved[key] = tensor.untyped_storage().nbytes()
        return tensor

    return pack


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes which storages operations read, and tells the guard before they write."""

    def __init__(self, touched: set[int], guard: _Guard) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.touched, self.guard = touched, guard

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.touched.update(_storage(leaf) for leaf in tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor))
        self.guard.before(func, args, kwargs)
        return func(*args, **kwargs)


def shape_of(value: object) -> Shape:
    """Shape of a tensor; a list or dictionary of shapes for nested values, and the type's name for anything else."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, PackedSequence):
        return tuple(value.data.shape)
    if isinstance(value, Mapping):
        return {str(key): shape_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shape_of(item) for item in value]
    return None if value is None else type(value).__name__


def _steps(x: Tensor | PackedSequence) -> int:
    if isinstance(x, PackedSequence):
        return len(x.data)
    return x.shape[:-1].numel()


def _storage(tensor: Tensor) -> int:
    storage = _untyped_storage(tensor)
    if storage is None:
        return id(tensor)
    return storage.data_ptr() or storage._cdata  # on the meta device nothing has an address


def _untyped_storage(tensor: Tensor) -> torch.UntypedStorage | None:
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # a sparse or wrapped tensor has none of its own
        return None
