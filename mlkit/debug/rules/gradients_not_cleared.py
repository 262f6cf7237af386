"""`step.gradients-not-cleared`: gradients of earlier steps are still there."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule


@rule("step.gradients-not-cleared")
def check(facts: Facts) -> Iterator[Finding]:
    """Gradients of earlier steps are added to every new gradient.

    PyTorch adds each backward pass to ``.grad``. Where nothing clears it between two steps, a step is taken along the
    sum of all gradients since the start, most of them computed at weights that are long gone: momentum that never
    decays. The loss falls, then oscillates; at a small learning rate it is only slower.

    Proof: between two steps of the same optimiser, all its gradients were present and not zero before the first
    backward, and nothing cleared them.

    Buggy::

        loss.backward()
        optimizer.step()

    Fixed::

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    Seen in: Stack Overflow 60335387; pytorch/pytorch#47175; yastrebksv/TennisCourtDetector#7.
    """
    for optimizer in facts.optimizers.values():
        steps = [step for step in facts.steps if step.optimizer == optimizer.key][1:]
        stale = [step for step in steps if not step.cleared and step.backwards]
        if len(stale) < 2 or len(stale) < 0.7 * len(steps):
            continue
        present = [back.grad_present for back in facts.backwards if back.step == stale[0].step]
        if not present or present[0] == 0:
            continue
        backward = next((back.site for back in facts.backwards if back.step == stale[0].step), None)
        yield Finding(
            "step.gradients-not-cleared",
            "gradients are never cleared: every step also takes the gradients of all steps before it",
            site=backward or stale[0].site,
            evidence={
                "steps looked at": len(steps),
                "of them with old gradients": len(stale),
                "share of gradients present before backward": round(present[0], 3),
            },
            mechanism="backward adds to .grad → a step goes along the sum of all gradients so far → "
            "the loss falls, then oscillates or drifts",
            fix="optimizer.zero_grad()   # before backward, once a step",
            confidence=0.99,
            explains=(
                "step.learning-rate-too-high",
                "step.oscillating",
                "step.accumulation-unscaled",
                "numeric.exploding-gradient",
                "step.clipping-ineffective",
            ),
        )
