"""`step.gradients-not-cleared`: gradients of earlier steps are still there."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, RollFacts
from mlkit.debug.findings import Finding
from mlkit.debug.held import words
from mlkit.debug.rules import rule


@rule("step.gradients-not-cleared")
def check(facts: Facts) -> Iterator[Finding]:
    """Gradients of earlier steps are added to every new gradient.

    PyTorch adds each backward pass to ``.grad``. Where nothing clears it between two steps, a step is taken along the
    sum of all gradients since the start, most of them computed at weights that are long gone: momentum that never
    decays. The loss falls, then oscillates; at a small learning rate it is only slower.

    Proof: at a step, gradients are the very tensors of the step before, which were neither None nor zero at any
    moment between, kept their norm until the first backward, and were then added to. However they are cleared
    (``zero_grad`` of the optimiser or of a module, ``p.grad = None``, ``p.grad.zero_()``, a new tensor put in their
    place) they are not that any more. Accumulation over several batches, a discriminator that takes up the
    generator's gradients and then clears them, and gradients from `torch.autograd.grad` are therefore quiet. Updates
    by hand are judged likewise.

    Buggy::

        loss.backward()
        optimizer.step()

    Fixed::

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    Seen in: Stack Overflow 60335387; pytorch/pytorch#47175; yastrebksv/TennisCourtDetector#7.
    """
    keys = [*facts.optimizers, -1]
    for key in keys:
        rolls = [roll for roll in facts.rolls if roll.optimizer == key and roll.backwards][1 if key >= 0 else 0 :]
        stale = [roll for roll in rolls if roll.stale]
        if len(stale) < 2 or len(stale) < 0.7 * len(rolls):
            continue
        yield _finding(facts, key, rolls, stale)


def _finding(facts: Facts, key: int, rolls: list[RollFacts], stale: list[RollFacts]) -> Finding:
    old = set.intersection(*(set(roll.stale) for roll in stale))
    held = max(len(roll.held) for roll in stale)
    is_partial = key >= 0 and 0 < len(old) < 0.7 * held
    whose = f"of {words(facts, old)} " if is_partial else ""
    by_hand = key < 0
    return Finding(
        "step.gradients-not-cleared",
        f"gradients {whose}are never cleared: every step also takes the gradients of all steps before it",
        site=stale[0].backward or stale[0].site,
        evidence={
            "steps looked at": len(rolls),
            "of them with old gradients": len(stale),
            "parameters with old gradients": max(len(roll.stale) for roll in stale),
            "parameters held": held,
        },
        mechanism="backward adds to .grad → a step goes along the sum of all gradients so far → "
        "the loss falls, then oscillates or drifts",
        fix="w.grad = None   # after each update"
        if by_hand
        else "optimizer.zero_grad()   # before backward, once a step",
        confidence=0.99,
        explains=(
            "step.learning-rate-too-high",
            "step.oscillating",
            "step.accumulation-unscaled",
            "numeric.exploding-gradient",
            "step.clipping-ineffective",
        ),
    )
