"""`step.frozen-parameter-optimised`: what an optimiser holds is frozen, so that it can train nothing."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import is_fresh, scenes, words
from mlkit.debug.rules import rule


@rule("step.frozen-parameter-optimised")
def check(facts: Facts) -> Iterator[Finding]:
    """What an optimiser holds is frozen: its steps change nothing.

    A loop that freezes by name froze the wrong half, or a new head was put in before everything was frozen. What should
    learn does not require a gradient; the loss moves only as far as running statistics move.

    Proof: at every step that was looked at, nothing that the optimiser holds requires a gradient. Where it holds
    trainable parameters too, it is a warning if the frozen ones are the last layer with its random initial weights;
    frozen features that were handed over with ``model.parameters()`` are harmless, and quiet.

    Buggy::

        model.fc = nn.Linear(512, 10)
        for parameter in model.parameters():
            parameter.requires_grad = False

    Fixed::

        for parameter in model.parameters():
            parameter.requires_grad = False
        model.fc = nn.Linear(512, 10)

    Seen in: PyTorch forum 84911 (a TrainCheck case).
    """
    for optimizer in facts.optimizers.values():
        rolls = [roll for roll in facts.rolls if roll.optimizer == optimizer.key and roll.backwards]
        explains = ("step.parameter-not-optimised", "step.graph-cut", "step.learning-rate-too-low", "shape.*", "mode.*")
        if rolls and all(roll.frozen and not roll.held for roll in rolls):
            keys = set(rolls[0].frozen)
            yield Finding(
                "step.frozen-parameter-optimised",
                f"all that the optimiser holds is frozen ({words(facts, keys)}): its steps change nothing",
                site=optimizer.site or rolls[0].site,
                evidence={
                    "parameters held": len(keys),
                    "of them trainable": 0,
                    "trainable parameters it does not hold": len(rolls[0].strangers),
                },
                mechanism="requires_grad is False → backward leaves no gradient → the step skips the parameter → only "
                "running statistics move",
                fix="parameter.requires_grad_(True)   # for what is to learn",
                confidence=0.98,
                explains=explains,
            )
            continue
        refused = facts.probe("refused/reach")
        frozen = set(refused.get("frozen", ()))  # type: ignore[call-overload]
        if refused and not refused["trainable"] and optimizer.holds and optimizer.holds <= frozen:
            yield Finding(
                "step.frozen-parameter-optimised",
                f"everything is frozen ({words(facts, optimizer.holds)}): backward finds nothing that "
                "requires a gradient",
                site=optimizer.site,
                evidence={"parameters held": len(optimizer.holds), "of them trainable": 0},
                mechanism="requires_grad is False everywhere → the loss has no graph → backward raises",
                fix="freeze first, then put in the new head",
                confidence=0.98,
                explains=explains,
            )
        last = {key for _, result in scenes(facts, "reach") for key in result["last"]}
        head = set.intersection(*(set(roll.frozen) for roll in rolls)) & last if rolls else set()
        if head and all(is_fresh(facts, key, optimizer.key) for key in head) and rolls[0].held:
            yield Finding(
                "step.frozen-parameter-optimised",
                f"the last layer ({words(facts, head)}) is frozen with its random initial weights",
                severity="warning",
                site=optimizer.site or rolls[0].site,
                evidence={"parameters held": len(optimizer.holds), "of them frozen": len(rolls[0].frozen)},
                mechanism="a freeze that came after the new layer, or hit the wrong names → the layer stays random",
                fix="parameter.requires_grad_(True)   # for the last layer",
                confidence=0.75,
            )
