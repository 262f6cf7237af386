"""`step.parameter-not-optimised`: a trainable parameter is in no optimiser."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, OptimizerFacts, RollFacts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.held import is_fresh, is_optimised, never_reached, numbers, scenes, words
from mlkit.debug.rules import rule


@rule("step.parameter-not-optimised")
def check(facts: Facts) -> Iterator[Finding]:
    """A trainable parameter gets gradients, but no optimiser holds it.

    Backward computes its gradient at every step, and nobody uses it: the parameter keeps its initial value. Causes: a
    sub-module forgotten in a list of parameter groups; an optimiser made before a layer was replaced; layers that were
    unfrozen later and never added to the optimiser. The rest of the model learns around random features: the loss falls
    to a floor that is too high.

    Proof: the gradient is there and not zero at two steps or more, no optimiser that still steps holds the parameter,
    and its value does not change otherwise (by hand, by a load). It is an error where the parameter has its random
    initial value and an optimiser holds others of the same model; a warning where a whole model is left out; and only
    worth knowing where it was trained or loaded before, since features kept on purpose look like that.

    Buggy::

        optimizer = Adam([{"params": model.head.parameters()}])          # and model.encoder?
        …
        optimizer = SGD(model.parameters(), lr=0.1); model.fc = Linear(128, 2)

    Fixed::

        model.fc = Linear(128, 2)
        optimizer = SGD(model.parameters(), lr=0.1)

    Seen in: zjunlp/HVPNeT#5; facebookresearch/mmf#104; hustzxd/EfficientPyTorch#1; pytorch/pytorch#14467.
    """
    told: set[int] = set()
    for optimizer in facts.optimizers.values():
        rolls = [roll for roll in facts.rolls if roll.optimizer == optimizer.key and roll.backwards]
        missing = _missing(facts, optimizer, rolls) - told
        if not missing or _holds_nothing_in_use(facts, optimizer):
            continue
        told |= missing
        yield from _judge(facts, optimizer, rolls, missing)
    yield from _bare(facts)


def _missing(facts: Facts, optimizer: OptimizerFacts, rolls: list[RollFacts]) -> set[int]:
    counts: dict[int, int] = {}
    for roll in rolls:
        for key in roll.strangers:
            if not is_optimised(facts, key, roll.step):
                counts[key] = counts.get(key, 0) + 1
    needed = 2 if len(rolls) > 1 or optimizer.steps > 1 else 1
    named = {key for key in counts if facts.parameters[key].name}
    return {key for key, count in counts.items() if count >= needed and key in named} - facts.moved


def _holds_nothing_in_use(facts: Facts, optimizer: OptimizerFacts) -> bool:
    """Its parameters belong to no model that is called: `step.update-lost` tells, or an input is optimised."""
    return not any(facts.parameters[key].name for key in optimizer.holds if key in facts.parameters) or (
        bool(optimizer.holds) and never_reached(facts, optimizer) >= optimizer.holds
    )


def _judge(facts: Facts, optimizer: OptimizerFacts, rolls: list[RollFacts], missing: set[int]) -> Iterator[Finding]:
    held = {key for other in facts.optimizers.values() if other.steps for key in other.holds}
    fresh = {key for key in missing if is_fresh(facts, key, optimizer.key)}
    thawed = {key for key in missing - fresh if not facts.parameters[key].trainable}
    beside = {key for model in facts.models.values() if held & set(model.parameters) for key in model.parameters}
    joined = {key for key in fresh if facts.parameters[key].joined_at is not None}
    groups: list[tuple[set[int], Severity, float, str]] = [
        (fresh & beside, "error", 0.97, "keeps its random initial weights"),
        (fresh - beside, "warning", 0.75, "is not trained at all"),
        (thawed, "warning", 0.85, "was unfrozen, but was never given to the optimiser"),
        (missing - fresh - thawed, "info", 0.6, "stays as it was trained or loaded before"),
    ]
    for keys, severity, confidence, what in groups:
        if not keys:
            continue
        replaced = keys & joined
        why = ", since it was made before that layer was put in" if replaced else ""
        line = f" (line {joined_line(facts, replaced)})" if replaced else ""
        yield Finding(
            "step.parameter-not-optimised",
            f"{words(facts, keys)} gets gradients but is in no optimiser{why}{line}: it {what}",
            severity=severity,
            site=optimizer.site or rolls[0].site,
            evidence={
                "parameters in no optimiser": len(keys),
                "numbers in them": numbers(facts, keys),
                "parameters that the optimiser holds": len(optimizer.holds),
                "steps looked at": len(rolls),
            },
            mechanism="backward fills .grad → no optimiser holds the parameter → it never moves → the rest "
            "learns around it, "
            "to a floor that is too high",
            fix="make the optimiser after the model is complete"
            if replaced
            else "optimizer = Optimizer(model.parameters(), …)",
            confidence=confidence,
            explains=("step.gradients-not-cleared", "model.too-small"),
        )


def joined_line(facts: Facts, keys: set[int]) -> int:
    """The line at which a layer was put in after the optimiser had been made."""
    return next(site.line for key in sorted(keys) if (site := facts.parameters[key].joined_at) is not None)


def _bare(facts: Facts) -> Iterator[Finding]:
    """Parameters that stand by themselves in the script, in no module and no optimiser."""
    if not any(optimizer.steps for optimizer in facts.optimizers.values()):
        return
    for _, result in scenes(facts, "reach"):
        for entry in result.get("unregistered", ()):
            ids = set(entry["ids"])
            if entry["kind"] == "parameter" and ids <= facts.lasting_leaves and not ids & facts.moved_leaves:
                yield Finding(
                    "step.parameter-not-optimised",
                    "a parameter gets gradients but is in no model and no optimiser: it keeps its initial value",
                    site=entry["site"],
                    evidence={"numbers in it": entry["numbers"]},
                    mechanism="backward fills .grad → no optimiser holds the parameter → it never moves",
                    fix="optimizer = Optimizer([*model.parameters(), parameter], …)",
                    confidence=0.95,
                )
                return
