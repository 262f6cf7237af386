"""The additive terms of a loss, and those among them that depend on the parameters alone: penalties.

Read from the recorded ops, so a penalty may be written in any way. Not here: whether a penalty is too strong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mlkit.debug.graph import leaves_of
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op

_SUMS = ("add", "__add__", "__radd__", "__iadd__", "add_", "sub", "__sub__", "__isub__")
_SCALINGS = ("mul", "__mul__", "__rmul__", "div", "__truediv__", "true_divide", "mean", "sum", "float", "squeeze")


@dataclass(frozen=True)
class Penalty:
    """The part of a loss that does not depend on the batch.

    Args:
        terms: its terms, live, each as it enters the sum.
        value: their sum.
        site: the line that made the largest of them.
    """

    terms: tuple[Tensor, ...]
    value: float
    site: Site | None


def terms_of(scene: Scene) -> Iterator[tuple[Tensor, Op | None]]:
    """What the loss is a sum of: tensors, with the op that made each; a loss that is no sum is its own only term."""
    if scene.loss is None:
        return
    made = scene.trace.producers()
    todo: list[Tensor] = [scene.loss]
    seen: set[int] = set()
    while todo and len(seen) < 200:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        op = made.get(id(value))
        parts = [one for one in op.inputs if one.requires_grad] if op is not None else []
        are_numbers = all(one.numel() == 1 for one in [value, *parts])
        if op is not None and parts and are_numbers and op.name in (*_SUMS, *_SCALINGS):
            todo += parts
            continue
        yield value, op


def penalty_of(scene: Scene) -> Penalty | None:
    """The terms of the loss that were computed from parameters only, or None where there are none."""
    if scene.loss is None:
        return None
    terms = list(terms_of(scene))
    if len(terms) < 2:
        return None
    shapes = {tuple(one.shape) for op in scene.path for one in op.inputs if one.is_leaf and one.requires_grad}
    alone = [(value, op) for value, op in terms if _is_of_parameters(scene, value, shapes)]
    if not alone or len(alone) == len(terms):
        return None
    chosen = [value for value, _ in alone]
    share = _through(scene, chosen)
    parts = [float(value.detach().sum()) * factor for value, factor in zip(chosen, share, strict=True)]
    largest = max(range(len(parts)), key=lambda at: abs(parts[at]))
    # The line a person would change is where the term joins the loss: there its weight stands.
    op = _joining(scene, {id(one) for one in chosen}) or alone[largest][1]
    return Penalty(tuple(chosen), sum(parts), op.site if op is not None else None)


def _joining(scene: Scene, penalties: set[int]) -> Op | None:
    """The op at which the penalty meets the data's part of the loss; the last before where none does."""
    mine, last = set(penalties), None
    for op in scene.path:
        given = [one for one in op.inputs if one.requires_grad]
        if any(id(one) in mine for one in given):
            last = op
            if not all(id(one) in mine for one in given):
                return op
            mine |= {id(one) for one in op.outputs}
    return last


def _is_of_parameters(scene: Scene, value: Tensor, shapes: set[tuple[int, ...]]) -> bool:
    assert scene.loss is not None
    leaves = leaves_of(scene.loss)
    ops = scene.trace.behind([value], stop=leaves)
    if any(call.start <= op.index < call.stop for call in scene.model_calls for op in ops):
        return False
    sources = scene.trace.sources([value], stop=leaves)
    sources = [
        one
        for one in sources
        if not any(one is leaf for leaf in leaves) or any(one is i for op in ops for i in op.inputs)
    ]
    wide = [one for one in sources if one.numel() > 1]
    made = {id(one) for op in ops for one in op.outputs}
    plain = [
        one for op in ops for one in op.inputs if not one.requires_grad and id(one) not in made and one.numel() > 1
    ]
    wide += plain
    return (
        bool(wide)
        and all(one.requires_grad or tuple(one.shape) in shapes for one in wide)
        and not any(one is other for one in wide for other in [*scene.inputs, *(h.target for h in scene.heads)])
    )


def _through(scene: Scene, terms: list[Tensor]) -> list[float]:
    """The factor by which each term enters the loss."""
    assert scene.loss is not None
    with torch.enable_grad():
        found = torch.autograd.grad(scene.loss, terms, retain_graph=True, allow_unused=True)
    return [float(one.mean()) if one is not None else 0.0 for one in found]
