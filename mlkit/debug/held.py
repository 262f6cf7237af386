"""What rules ask again and again of parameters and optimisers: fresh or trained before, held by whom, called what.

Pure functions of facts. Not here: the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts, OptimizerFacts, RollFacts


def rolls_of(facts: Facts, optimizer: OptimizerFacts) -> list[RollFacts]:
    """The roll calls of an optimiser before which a backward came; empty where one alone cannot tell."""
    found = [roll for roll in facts.rolls if roll.optimizer == optimizer.key and roll.backwards]
    return found if len(found) > 1 or optimizer.steps == 1 else []


def never_reached(facts: Facts, optimizer: OptimizerFacts) -> set[int]:
    """Keys that an optimiser holds, that require a gradient, and that have had none at any step nor moved otherwise."""
    rolls = rolls_of(facts, optimizer)
    if not rolls:
        return set()
    return set.intersection(*(set(roll.without) for roll in rolls)) - facts.moved


def is_fresh(facts: Facts, key: int, optimizer: int) -> bool:
    """Whether a parameter has its random initial value, as far as is known: neither loaded nor trained before."""
    parameter = facts.parameters.get(key)
    if parameter is None or parameter.site is None or parameter.is_loaded:
        return False
    return not any(other.steps and other.key != optimizer and key in other.holds for other in facts.optimizers.values())


def is_optimised(facts: Facts, key: int, step: int) -> bool:
    """Whether an optimiser holds a parameter that steps at or after ``step`` (or has yet to step)."""
    return any(
        key in other.holds and (other.last_step is None or other.last_step >= step)
        for other in facts.optimizers.values()
    )


def scenes(facts: Facts, probe: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(scene, result) of a probe over all scenes of training."""
    for name, result in facts.probes.items():
        scene, _, which = name.partition("/")
        if which == probe and scene.startswith("train"):
            yield scene, result


def entries(facts: Facts, probe: str, name: str) -> list[dict[str, Any]]:
    """The list ``name`` in the results of a probe, joined over all scenes of training."""
    return [one for _, result in scenes(facts, probe) if isinstance(result.get(name), list) for one in result[name]]


def words(facts: Facts, keys: Iterable[int], *, limit: int = 3) -> str:
    """Parameters in words, the modules that they belong to: ``Net.image.body.0, Net.image.body.3 and 2 more``.

    >>> from mlkit.debug.facts import ParameterFacts
    >>> words(Facts(parameters={0: ParameterFacts(0, "Net.fc.weight", (2, 3), True)}), [0])
    'Net.fc'
    """
    names: dict[str, None] = {}
    bare: list[str] = []
    for key in sorted(keys):
        parameter = facts.parameters.get(key)
        if parameter is None:
            continue
        if parameter.name:
            owner = parameter.name.rpartition(".")[0] if parameter.name.count(".") > 1 else parameter.name
            names[owner] = None
        else:
            bare.append(f"a tensor of shape {parameter.shape}")
    every = [*names, *dict.fromkeys(bare)]
    if len(every) > limit:
        head = common(every)
        if head.count("."):
            return f"{head} ({len(every)} parts)"
        return f"{', '.join(every[:limit])} and {len(every) - limit} more"
    return ", ".join(every)


def common(names: list[str]) -> str:
    """The longest dotted beginning that names share.

    >>> common(["Net.body.0", "Net.body.2.fc"])
    'Net.body'
    """
    parts = [name.split(".") for name in names]
    shared = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return ".".join(shared)


def numbers(facts: Facts, keys: Iterable[int]) -> int:
    """How many numbers some parameters hold together."""
    total = 0
    for key in keys:
        count = 1
        for size in facts.parameters[key].shape if key in facts.parameters else ():
            count *= size
        total += count
    return total
