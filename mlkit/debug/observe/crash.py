"""The exception that ended the program: which torch call raised it, in which module, with which shapes on the way.

Not here: what is to be done about it (`mlkit.debug.rules`).
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from torch import Tensor

from mlkit.debug.facts import ErrorFacts
from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import modules_by_name, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session


def shape_text(value: object) -> str:
    """``float32 (32, 10)`` of each tensor within a value."""
    return ", ".join(_one(tensor) for tensor in tensors_in(value))


def _one(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def error_facts(error: BaseException, session: Session) -> ErrorFacts:
    """What is known of an exception that came out of the user's program."""
    facts = ErrorFacts(type(error).__name__, str(error), innermost_user_line(error, session.locator))
    trace = session.trace
    failed = next((op for op in reversed(trace.ops) if op.error is not None), None)
    if failed is None or not failed.error or str(error) not in failed.error:
        return facts
    facts.op = failed.name
    facts.inputs = [_one(tensor) for tensor in failed.inputs]
    roots = [*session.modules.models(), *([session.modules.running_root] if session.modules.running_root else [])]
    owners = {name: module for root in roots for name, module in modules_by_name(root) if name in failed.modules}
    if failed.modules:
        facts.module = failed.modules[-1]
        module = owners.get(failed.modules[-1])
        if module is not None:
            facts.module_kind, facts.module_settings = type(module).__name__, module.extra_repr()
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


def innermost_user_line(error: BaseException, locator: Locator) -> Site | None:
    """The innermost frame of the user's own code in an exception's traceback."""
    found = None
    for frame in traceback.walk_tb(error.__traceback__):
        code, line = frame[0].f_code, frame[1]
        if locator.is_user_code(code):
            found = Site(code.co_filename, line, code.co_name)
    return found
