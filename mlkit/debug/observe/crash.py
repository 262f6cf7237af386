"""The exception that ended the program: which torch call raised it, in which module, with which shapes on the way.

Not here: what is to be done about it (`mlkit.debug.rules`).
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mlkit.debug.facts import ErrorFacts
from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import modules_by_name, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session


def shape_text(value: object) -> str:
    """``float32 (32, 10)`` of each tensor within a value."""
    return ", ".join(_one(tensor) for tensor in tensors_in(value))


def _one(tensor: Tensor) -> str:
    kind, shape = _kind_and_shape(tensor)
    return f"{kind} {shape}"


def error_facts(error: BaseException, session: Session) -> ErrorFacts:
    """What is known of an exception that came out of the user's program."""
    facts = ErrorFacts(type(error).__name__, str(error), innermost_user_line(error, session.locator))
    trace = session.trace
    if is_out_of_memory(error):
        facts.memory = _memory(session)
    failed = next((op for op in reversed(trace.ops) if op.error is not None), None)
    if failed is None or not failed.error or str(error) not in failed.error:
        return _in_module(error, facts, session)
    facts.op = failed.name
    data = [tensor for tensor in failed.inputs if not isinstance(tensor, nn.Parameter)]
    facts.inputs = [_kind_and_shape(tensor) for tensor in data]
    facts.highest = max(
        (int(tensor.max()) for tensor in data if not tensor.is_floating_point() and tensor.numel()), default=None
    )
    roots = [*session.modules.models(), *([session.modules.running_root] if session.modules.running_root else [])]
    owners = {name: module for root in roots for name, module in modules_by_name(root) if name in failed.modules}
    if failed.modules:
        _describe(facts, failed.modules[-1], owners.get(failed.modules[-1]), session)
    last_start = 0
    # Only the pass that failed: what came after the last call that the user's code finished.
    for call in trace.module_calls:
        if "." not in call.name and call.stop <= failed.index:
            last_start = max(last_start, call.stop)
    for call in trace.module_calls:
        if call.start >= last_start and call.output is not None and call.stop <= failed.index:
            kind = type(call.module).__name__
            facts.shapes.append((call.name, kind, shape_text(call.inputs), shape_text(call.output)))
    return facts


def _kind_and_shape(tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    return str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)


def _describe(facts: ErrorFacts, name: str, module: nn.Module | None, session: Session) -> None:
    facts.module = name
    if module is not None:
        facts.module_kind, facts.module_settings = type(module).__name__, module.extra_repr()
        facts.module_site = session.modules.made_at(module)


def _in_module(error: BaseException, facts: ErrorFacts, session: Session) -> ErrorFacts:
    """An exception that a module of torch raised itself (as recurrent layers do), before any torch function ran."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        owner = frame.f_locals.get("self")
        if session.locator.is_user_code(frame.f_code):
            break
        if isinstance(owner, nn.Module) and frame.f_code.co_name == "forward":
            values = [value for name, value in frame.f_locals.items() if name != "self"]
            roots = [*session.modules.models(), session.modules.running_root or owner]
            names = {id(one): name for root in roots for name, one in modules_by_name(root)}
            _describe(facts, names.get(id(owner), type(owner).__name__), owner, session)
            facts.op = type(owner).__name__
            facts.inputs = [_kind_and_shape(one) for one in tensors_in(values) if not isinstance(one, nn.Parameter)][:2]
            break
    return facts


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on any device."""
    text = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text


def _memory(session: Session) -> list[tuple[str, int]]:
    """What takes the memory: weights, gradients, optimiser state, and the outputs of modules, in bytes."""
    parameters = [one for one, _ in session.modules.parameters()]
    state = [
        value
        for optimizer in session.optimizers.live()
        for values in optimizer.state.values()
        for value in tensors_in(values)
    ]
    found = {
        "weights": sum(map(_bytes, parameters)),
        "gradients": sum(_bytes(one.grad) for one in parameters if one.grad is not None),
        "optimiser state": sum(map(_bytes, state)),
    }
    seen = {one.untyped_storage().data_ptr() for one in parameters}
    for call in session.trace.module_calls:
        for tensor in tensors_in(call.output):
            place = tensor.untyped_storage().data_ptr()
            if place not in seen and not list(call.module.children()):
                seen.add(place)
                found[f"output of {call.name}"] = found.get(f"output of {call.name}", 0) + _bytes(tensor)
    return sorted(((what, size) for what, size in found.items() if size), key=lambda one: -one[1])[:8]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def innermost_user_line(error: BaseException, locator: Locator) -> Site | None:
    """The innermost frame of the user's own code in an exception's traceback."""
    found = None
    for frame in traceback.walk_tb(error.__traceback__):
        code, line = frame[0].f_code, frame[1]
        if locator.is_user_code(code):
            found = Site(code.co_filename, line, code.co_name)
    return found
