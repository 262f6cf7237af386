"""Which module of one model is which of the other: by name, by their weights, by order of execution.

Not here: which weights belong together (`mlkit.debug.parity.weights`).
"""

from __future__ import annotations

from difflib import SequenceMatcher

from torch import nn

from mlkit.debug.parity.events import Event, Recording
from mlkit.debug.parity.weights import Matching


def modules(
    mine: nn.Module, reference: nn.Module, matching: Matching, runs: tuple[Recording, Recording]
) -> dict[str, str]:
    """Names of mine to names of the reference.

    Modules that hold weights follow their weights. Those without are paired between two that are, in the order in which
    they ran, where their kind and the shape of their output agree, then by name. A module that holds others is paired
    with the one that holds the counterparts of all of those.

    Args:
        mine: the model.
        reference: the other.
        matching: of their weights.
        runs: of both, in the same mode.
    """
    found: dict[str, str] = {"": ""}
    for pair in matching.pairs:
        one, other = pair.mine.rpartition(".")[0], pair.reference.rpartition(".")[0]
        if one not in found and other not in found.values():
            found[one] = other
    for name in dict(mine.named_modules()):
        is_there = name in dict(reference.named_modules())
        if name not in found and is_there and name not in found.values():
            found[name] = name
    _add_by_order(found, *(_leaf_calls(run, model) for run, model in zip(runs, (mine, reference), strict=True)))
    _add_containers(found, mine, reference)
    return found


def _leaf_calls(run: Recording, model: nn.Module) -> list[tuple[str, tuple[object, ...]]]:
    """Calls of modules that hold no other: name, kind and shape of the output."""
    leaves = {name for name, module in model.named_modules() if next(module.children(), None) is None}
    return [
        (event.module, (run.kinds[event.module], *(tuple(value.shape) for value in event.values)))
        for event in run.events
        if event.side == "out" and event.module in leaves
    ]


def _add_by_order(
    found: dict[str, str],
    mine: list[tuple[str, tuple[object, ...]]],
    reference: list[tuple[str, tuple[object, ...]]],
) -> None:
    taken = set(found.values())
    # A module with a counterpart is an anchor; of the others, kind and shape are all that is known.
    keys_a = [("anchor", found[name]) if name in found else shape for name, shape in mine]
    keys_b = [("anchor", name) if name in taken else shape for name, shape in reference]
    for block in SequenceMatcher(None, keys_a, keys_b, autojunk=False).get_matching_blocks():
        for i in range(block.size):
            one, other = mine[block.a + i][0], reference[block.b + i][0]
            if one not in found and other not in found.values():
                found[one] = other


def _add_containers(found: dict[str, str], mine: nn.Module, reference: nn.Module) -> None:
    inside = {name: _leaves(name, reference) for name in dict(reference.named_modules())}
    for name, module in mine.named_modules():
        if name in found or next(module.children(), None) is None:
            continue
        counterparts = {found.get(leaf) for leaf in _leaves(name, mine)} - {None}
        holders = [
            other for other, leaves in inside.items()
            if counterparts and counterparts <= leaves and other not in found.values() and other
        ]  # fmt: skip
        if holders:
            found[name] = min(holders, key=lambda other: len(inside[other]))


def _leaves(name: str, model: nn.Module) -> set[str]:
    start = f"{name}." if name else ""
    return {
        other
        for other, module in model.named_modules()
        if other.startswith(start) and next(module.children(), None) is None
    }


def events(mine: Recording, reference: Recording, named: dict[str, str]) -> list[tuple[Event, Event]]:
    """The events of mine that have a counterpart, in the order of mine."""
    there = {(event.side, event.module, event.call): event for event in reference.events}
    found = []
    for event in mine.events:
        other = there.get((event.side, named.get(event.module, "\0"), event.call))
        if other is not None and event.values and other.values:
            found.append((event, other))
    return found
