"""From the first values that differ to the module and the way in which it departs.

Not here: finding those values (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from mlkit.debug.parity import settings
from mlkit.debug.parity.events import Event, Recording
from mlkit.debug.parity.hypotheses import Named, explain
from mlkit.debug.parity.measure import distance
from mlkit.debug.parity.report import Departure, Stage
from mlkit.debug.parity.weights import Pair
from mlkit.engine.nonfinite import tensors_in


def departure(
    stage: Stage,
    mine: nn.Module,
    reference: nn.Module,
    runs: tuple[Recording, Recording],
    pair: tuple[Event, Event],
    gap: float,
    allowed: float,
) -> Departure:
    """The module at which two values first differ, and how.

    Args:
        stage: of the comparison.
        mine: the model, in the mode of the stage.
        reference: likewise.
        runs: of both.
        pair: the first events that differ.
        gap: their distance.
        allowed: what rounding explains.
    """
    own, other = pair
    run = runs[0]
    before = run.events[: next(i for i, event in enumerate(run.events) if event is own)]
    if own.side == "in":
        holder = _under_way(before)
        name = holder.module if holder is not None else ""
        where = f"its code before it calls {own.module or 'the model'}"
        how = _order_of_activation(runs, name, allowed) or _values(own, other, _earlier(before, name), allowed)
        kind = run.kinds.get(name, type(mine).__name__)
        return Departure(stage, name, kind, name, where, gap, allowed, how, proven=how is not None, site=own.site)
    entry = next((event for event in reversed(before) if _is_entry(event, own)), None)
    site = entry.site if entry is not None else None
    a, b = mine.get_submodule(own.module), reference.get_submodule(other.module)
    has_children = next(a.children(), None) is not None
    where = "its own code after the last module that it calls" if has_children else "its output"
    how, proven = _of_module(a, b, runs[1], other, before, own, allowed)
    return Departure(stage, own.module, run.kinds[own.module], other.module, where, gap, allowed, how, proven, site)


def first_random(mine: Recording, again: Recording, model: nn.Module) -> Departure | None:
    """The first value that another seed changes in evaluation mode; None where nothing is drawn."""
    events = zip(mine.events, again.events, strict=False)
    for own, other in events:
        gap = distance(own.values, other.values)
        if gap == 0:
            continue
        before = mine.events[: next(i for i, event in enumerate(mine.events) if event is own)]
        holder = _under_way(before)
        name = own.module if own.side == "out" else (holder.module if holder is not None else "")
        kind = mine.kinds.get(name, type(model).__name__)
        entry = next((event for event in reversed(before) if _is_entry(event, own)), None)
        site = own.site if own.side == "in" or entry is None else entry.site
        how = "it draws random numbers in evaluation mode: with another seed it is another (dropout stays active?)"
        where = f"its code before it calls {own.module}" if own.side == "in" else "its output"
        return Departure("evaluation mode", name, kind, name, where, gap, 0.0, how, proven=True, site=site)
    return None


def raised(stage: Stage, run: Recording) -> Departure:
    """A model that cannot be called on what the reference can."""
    closed = {(event.module, event.call) for event in run.events if event.side == "out"}
    open_ = [event for event in run.events if event.side == "in" and (event.module, event.call) not in closed]
    last = open_[-1] if open_ else None
    name = last.module if last is not None else ""
    site = last.site if last is not None else None
    where = f"it raises {run.problem}"
    return Departure(stage, name, run.kinds.get(name, ""), name, where, math.inf, 0.0, site=site)


def of_weight(
    stage: Stage,
    pair: Pair,
    mine: nn.Module,
    reference: nn.Module,
    gap: float,
    allowed: float,
    own: Tensor | None,
    other: Tensor | None = None,
) -> Departure:
    """A buffer, a gradient or a trained weight that departs."""
    name, _, last = pair.mine.rpartition(".")
    there = pair.reference.rpartition(".")[0]
    a, b = mine.get_submodule(name), reference.get_submodule(there)
    found = settings.differences(a, b)
    how: str | None = settings.told(found) if found else None
    where = {"buffers": f"the buffer {last} after one pass", "gradients": f"the gradient of {last}"}.get(
        stage, f"{last} after the steps"
    )
    if stage != "buffers" and (own is None or other is None):
        frozen = not dict(mine.named_parameters())[pair.mine].requires_grad
        none = (
            "it is frozen (requires_grad is False)" if frozen else "no gradient reaches it: the graph is cut after it"
        )
        how = none if own is None else "it gets a gradient, and the reference's does not"
    elif own is not None and other is not None and how is None:
        how = explain(own, other, [], close=max(allowed, 1e-9))
    return Departure(stage, name, type(a).__name__, there, where, gap, allowed, how, proven=how is not None)


def dropouts(mine: nn.Module, reference: nn.Module, named: Mapping[str, str]) -> Iterator[tuple[str, Departure]]:
    """Dropout layers of another probability, by name."""
    there = dict(reference.named_modules())
    for name, module in mine.named_modules():
        other = there.get(named.get(name, "\0"))
        for setting in ("p", "dropout"):
            one, two = getattr(module, setting, None), getattr(other, setting, None)
            if isinstance(one, (int, float)) and isinstance(two, (int, float)) and one != two:
                how = f"{setting} is {one:g} in place of {two:g}"
                kind = type(module).__name__
                yield (
                    name,
                    Departure(
                        "training mode", name, kind, named[name], "its dropout", abs(one - two), 0.0, how, proven=True
                    ),
                )


def by_themselves(
    mine: nn.Module, reference: nn.Module, named: Mapping[str, str], run: Recording, allowed: float, *, but: str
) -> Iterator[Departure]:
    """Modules that hold no other and depart when given what their counterparts got."""
    made = {(event.module, event.call): event for event in run.events if event.side == "out"}
    order = {event.module: place for place, event in reversed(list(enumerate(run.events)))}
    for name, there in sorted(named.items(), key=lambda item: order.get(item[1], 0)):
        try:
            a, b = mine.get_submodule(name), reference.get_submodule(there)
        except AttributeError:
            continue
        call = run.calls.get((there, 0))
        if name == but or next(a.children(), None) is not None or call is None or (there, 0) not in made:
            continue
        args, kwargs = copy.deepcopy(call)
        wanted = list(made[there, 0].values)
        try:
            with torch.no_grad():
                output = [tensor for tensor in tensors_in(a(*args, **kwargs)) if tensor.is_floating_point()]
        except Exception as error:
            where = f"it raises {type(error).__name__}"
            yield Departure("evaluation mode", name, type(a).__name__, there, where, math.inf, allowed)
            continue
        gap = distance(output, wanted)
        if gap > allowed:
            found, proven = settings.prove(a, b, call, wanted, close=allowed)
            how = settings.told(found) if found else None
            yield Departure(
                "evaluation mode", name, type(a).__name__, there, "its output", gap, allowed, how, proven=proven
            )


def _of_module(
    mine: nn.Module,
    reference: nn.Module,
    run: Recording,
    other: Event,
    before: list[Event],
    own: Event,
    allowed: float,
) -> tuple[str | None, bool]:
    """How one module departs that got the same: by a setting, by its kind, by its mode, or by what the values show."""
    is_leaf = next(mine.children(), None) is None
    is_other_kind = type(mine).__name__ != type(reference).__name__
    ours = all(type(one).__module__.startswith("torch.nn") for one in (mine, reference))
    if is_leaf and is_other_kind and ours:
        return f"{_shown(mine, reference)} in place of {_shown(reference, mine)}", True
    call = run.calls.get((other.module, other.call))
    if call is not None:
        found, proven = settings.prove(mine, reference, call, list(other.values), close=allowed)
        if proven:
            return settings.told(found), True
        way = settings.other_use(mine, reference, call, list(own.values), close=allowed)
        if way is not None:
            return way, True
        if found and is_leaf:
            return settings.told(found), False
    told = _values(own, other, _earlier(before, own.module), allowed)
    if told is None and is_leaf and is_other_kind:
        return f"{_shown(mine, reference)} in place of {_shown(reference, mine)}", True
    return told, told is not None


def _order_of_activation(runs: tuple[Recording, Recording], name: str, allowed: float) -> str | None:
    """Whether the output of a module shows an activation on the wrong side of a sum, which begins to show within it."""
    ends = [next((e for e in run.events if e.side == "out" and e.module == name and e.values), None) for run in runs]
    if ends[0] is None or ends[1] is None:
        return None
    before = runs[0].events[: runs[0].events.index(ends[0])]
    told = _values(ends[0], ends[1], _earlier(before, name), allowed)
    return told if told is not None and "is applied" in told else None


def _shown(module: nn.Module, other: nn.Module) -> str:
    """A module as it is written, without settings where both have the same."""
    name, extra = type(module).__name__, module.extra_repr()
    is_plain = not extra or extra == other.extra_repr() or extra in ("inplace=True", "approximate='none'")
    return name if is_plain else f"{name}({extra})"


def _values(own: Event, other: Event, earlier: list[Named], allowed: float) -> str | None:
    """What the first of the values that differ shows."""
    if len(own.values) != len(other.values):
        return f"{len(own.values)} values in place of {len(other.values)}"
    for a, b in zip(own.values, other.values, strict=True):
        if distance([a], [b]) > allowed:
            return explain(a, b, earlier, close=max(allowed, 1e-11))
    return None


def _is_entry(event: Event, leaving: Event) -> bool:
    return event.side == "in" and (event.module, event.call) == (leaving.module, leaving.call)


def _under_way(before: list[Event]) -> Event | None:
    """The innermost module that was entered and not left."""
    stack: list[Event] = []
    for event in before:
        if event.side == "in":
            stack.append(event)
        else:
            stack.pop()
    return stack[-1] if stack else None


def _earlier(before: list[Event], holder: str) -> list[Named]:
    """Values of the module's own call so far, the latest last: what it got, and what its parts put out."""
    start = max((i for i, e in enumerate(before) if e.side == "in" and e.module == holder), default=0)
    found: list[Named] = []
    for event in before[start:]:
        if event.side == "out" or event.module == holder:
            name = f"the output of {event.module}" if event.side == "out" else f"the input of {holder or 'the model'}"
            found += [(name, value) for value in event.values[:1]]
    return found
