"""The autograd graph behind a loss, read only: which tensors it ends in.

Not here: the torch calls that made it (`mlkit.debug.trace`).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

NODES_LIMIT = 20_000


def leaves_of(loss: Tensor) -> list[Tensor]:
    """The tensors to which a backward pass from ``loss`` would give a gradient, each once."""
    if loss.grad_fn is None:
        return [loss] if loss.requires_grad else []
    seen: set[object] = set()
    found: dict[int, Tensor] = {}
    todo: list[Any] = [loss.grad_fn]
    while todo and len(seen) < NODES_LIMIT:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            found.setdefault(id(variable), variable)
        todo += [one for one, _ in node.next_functions]
    return list(found.values())


def has_graph(tensor: Tensor) -> bool:
    """Whether a differentiable op made a tensor; torch refuses to tell of some views that were written into."""
    try:
        return tensor.grad_fn is not None
    except RuntimeError:
        return False
