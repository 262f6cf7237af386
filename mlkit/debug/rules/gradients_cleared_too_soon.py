"""`step.gradients-cleared-too-soon`: gradients are cleared before the step has used them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule


@rule("step.gradients-cleared-too-soon")
def check(facts: Facts) -> Iterator[Finding]:
    """Gradients are cleared between backward and step, or inside an accumulation window.

    Cleared after the last backward, the step finds no gradient: nothing is learnt, and the loss stays where it is.
    Cleared before each batch of an accumulation window, only the last batch counts: the loss falls, but as with a small
    batch (and, where the loss was divided by the number of batches, with a small learning rate).

    Proof: parameters had a gradient when backward returned and have none at the step; or an earlier backward of the
    same line, since the last step of any optimiser, was cleared before the window's last one, its gradients read by
    nobody (as per-sample clipping, gradient surgery or Fisher estimates do) and no weight written (as sharpness-aware
    minimisation does). A generator that clears what the discriminator's loss left is a different line, and quiet.

    Buggy::

        loss.backward()
        optimizer.zero_grad()
        optimizer.step()

    Fixed::

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    Seen in: bytetriper/RAE#67; tatsu-lab/alpaca_farm#57; ultralytics/ultralytics#11217.
    """
    for optimizer in facts.optimizers.values():
        rolls = [roll for roll in facts.rolls if roll.optimizer == optimizer.key and roll.backwards]
        lost = [roll for roll in rolls if roll.lost and roll.lost >= 0.3 * len(roll.held)]
        if len(lost) >= 2 and len(lost) >= 0.7 * len(rolls):
            all_of_it = all(roll.lost >= len(roll.held) for roll in lost)
            yield Finding(
                "step.gradients-cleared-too-soon",
                "gradients are cleared after backward and before the step, which then has nothing to step along",
                site=lost[0].lost_at or lost[0].site,
                evidence={
                    "steps looked at": len(rolls),
                    "of them without what backward computed": len(lost),
                    "gradients lost at each": lost[0].lost,
                    "parameters held": len(lost[0].held),
                },
                mechanism="backward fills .grad → it is cleared → the step changes nothing"
                + (" → the loss stays flat" if all_of_it else " for these parameters"),
                fix="optimizer.zero_grad()   # before backward, or after the step",
                confidence=0.99,
                explains=(
                    "step.learning-rate-too-low",
                    "step.graph-cut",
                    "model.vanishing-gradient",
                    "model.dead-units",
                ),
            )
        thrown = [roll for roll in rolls if roll.thrown]
        windows = [roll for roll in rolls if roll.backwards > 1]
        if len(rolls) < 2 or not thrown or len(windows) < 0.5 * len(rolls) or (len(rolls) > 3 and len(thrown) < 2):
            continue
        sites = Counter(site for roll in thrown for site in roll.thrown)
        yield Finding(
            "step.gradients-cleared-too-soon",
            "gradients are cleared inside the accumulation window: only the last batch before each step counts",
            site=sites.most_common(1)[0][0],
            evidence={
                "backward passes before each step": windows[0].backwards,
                "of them thrown away": len(thrown[0].thrown),
            },
            mechanism="each batch's gradients are cleared before the next batch adds its own → the step sees "
            "one batch of "
            f"{windows[0].backwards} → noisier and, if the loss is divided, smaller steps",
            fix="optimizer.zero_grad()   # once a window: right after optimizer.step()",
            confidence=0.97,
            explains=("step.accumulation-unscaled", "step.learning-rate-too-low"),
        )
