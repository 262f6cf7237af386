"""`step.clipping-ineffective`: clipping before backward, or of scaled gradients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from mlkit.debug.facts import Facts, StepFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule

_EFFECTS = (
    "step.learning-rate-too-high",
    "step.learning-rate-too-low",
    "numeric.exploding-gradient",
    "numeric.non-finite-loss",
)


@rule("step.clipping-ineffective")
def check(facts: Facts) -> Iterator[Finding]:
    """Gradients are clipped at a moment at which that does not bound the step.

    Clipping before ``backward`` clips nothing, or what is cleared next: spikes reach the weights uncapped. Clipping
    gradients that are still multiplied by a loss scale bounds them by the limit over the scale, thousands of times less
    than meant, and the training crawls.

    Proof: none of the clips came after the last backward before a step, and the gradient at the step was larger than
    the limit; or the gradient at the step is a constant fraction of what clipping had left.

    Buggy::

        clip_grad_norm_(model.parameters(), 1.0)
        loss.backward()
        optimizer.step()

    Fixed::

        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    Healthy look-alikes: clipping after each micro-batch; two networks clipped in turn; a limit that is rarely reached.

    Seen in: simchowitzlabpublic/nano-world-model#22; Lightning-AI/pytorch-lightning#9599; milesial/Pytorch-UNet#468.
    """
    for optimizer in facts.optimizers.values():
        steps = [one for one in facts.steps if one.optimizer == optimizer.key and one.backwards]
        clipped = [one for one in steps if one.clipped]
        if len(clipped) < 3:
            continue
        yield from _too_soon(steps, clipped)
        yield from _scaled(clipped)


def _total(step: StepFacts) -> float:
    """Norm of the gradients of what the optimiser holds: those of others are noted beside them."""
    held = (norm for key, norm in step.gradients.items() if key in step.weights)
    return math.sqrt(sum(one * one for one in held if one is not None and math.isfinite(one)))


def _too_soon(steps: list[StepFacts], clipped: list[StepFacts]) -> Iterator[Finding]:
    late = [one for one in clipped if not any(after for _, _, _, after in one.clipped)]
    if len(late) < 0.8 * len(clipped) or len(clipped) < 0.8 * (len(steps) - 1):
        return
    # With one backward a step the clip came before it. With several, another network's may have come since: then the
    # gradients at the step tell, which are within the limit where the clip was right.
    site, limit, _, _ = late[-1].clipped[-1]
    beyond = sum(_total(one) > 1.01 * limit for one in late)
    alone = sum(one.backwards == 1 for one in late)
    if alone < 0.8 * len(late) and beyond < 0.3 * len(late):
        return
    yield Finding(
        "step.clipping-ineffective",
        "gradients are clipped before backward, when there is nothing to clip: the step uses them unclipped",
        severity="error" if beyond or not math.isfinite(limit) else "warning",
        site=site,
        evidence={
            "limit": limit,
            "steps with a clip": len(clipped),
            "of them with no clip after the last backward": len(late),
            "largest gradient norm at a step": round(max(map(_total, late)), 4),
            "steps whose gradient was beyond the limit": beyond,
            "norm that was clipped (median)": round(statistics.median(one.clipped[-1][2] for one in late), 4),
        },
        mechanism="clip_grad_norm_ scales what .grad holds then → backward adds the new, unclipped gradient → "
        "spikes reach the weights",
        fix="loss.backward(); clip_grad_norm_(model.parameters(), max_norm); optimizer.step()   # in this order",
        confidence=0.97,
        explains=_EFFECTS,
    )


def _scaled(clipped: list[StepFacts]) -> Iterator[Finding]:
    ratios, site, limit = [], None, 0.0
    for step in clipped:
        at, bound, norm, after = step.clipped[-1]
        total = _total(step)
        if after and total > 0 and math.isfinite(norm) and norm > bound > 0:
            ratios.append(bound / total)
            site, limit = at, bound
    if len(ratios) < 3:
        return
    middle = statistics.median(ratios)
    steady = sum(abs(one / middle - 1) < 0.02 for one in ratios)
    if middle < 3.9 or steady < 0.8 * len(ratios):
        return
    yield Finding(
        "step.clipping-ineffective",
        f"gradients are clipped while they are still multiplied by a loss scale of {middle:.0f}: "
        f"the limit is in effect {limit / middle:.2g}",
        severity="error",
        site=site,
        evidence={
            "limit": limit,
            "gradient norm at the step (median)": limit / middle,
            "scale": round(middle, 1),
            "steps": len(ratios),
        },
        mechanism="the scaled gradient is far beyond the limit and is cut down to it → unscaling divides once more → "
        "every step is that many times too short",
        fix="scaler.unscale_(optimizer)   # before clip_grad_norm_",
        confidence=0.97,
        explains=_EFFECTS,
    )
