"""`numeric.exploding-gradient`: gradients grow without bound with depth or time."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of


@rule("numeric.exploding-gradient")
def check(facts: Facts) -> Iterator[Finding]:
    """On its way back through time or layers the gradient is multiplied by more than one at every step.

    Sixty steps of a factor 1.2 are sixty thousand. The first states then decide the gradient alone, its direction is
    chaos, and one step throws the weights anywhere.

    Proof: the norm of the loss's gradient at every state of the loop, every time step, or every layer, of the live
    graph at the first step: it grows by orders of magnitude from the last to the first.

    Buggy::

        nn.init.orthogonal_(recurrent, gain=3.0)

    Fixed::

        nn.init.orthogonal_(recurrent)
        clip_grad_norm_(model.parameters(), 1.0)     # after backward

    A lesser growth counts where the trials tell the same: with the gradient's norm limited the loop learns, and learns
    more than with any smaller learning rate.

    Healthy look-alikes: gated layers, and weights of spectral norm one: the gradient shrinks or keeps its size.

    Seen in: Stack Overflow 53848232, 52024026; AUTOTRAINER's "exploding gradient".
    """
    told = facts.probe("train/gradient_growth")
    growth, steps, along, site, monotone = (told.get(one) for one in ("growth", "steps", "along", "site", "monotone"))
    if not isinstance(growth, float) or not isinstance(steps, int) or not isinstance(monotone, float):
        return
    if monotone < 0.6 or (growth < 300 and not (growth > 20 and _is_cured_by_clip(facts) and _clip_wins(facts))):
        return
    symptom = symptom_of(facts)
    clipped = any(after for step in facts.steps for _, _, _, after in step.clipped)
    falls = symptom in ("falls", "too-good")
    if falls and growth < 1e5:
        return
    factor = growth ** (1 / max(1, steps - 1)) if math.isfinite(growth) else math.inf
    cured = _is_cured_by_clip(facts)
    severe = not falls and (growth > 1e4 or cured)
    yield Finding(
        "numeric.exploding-gradient",
        f"the gradient grows {growth:.2g} times on its way back through {steps} {along}",
        severity="info" if falls and clipped else "error" if severe else "warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "growth": float(f"{growth:.4g}") if math.isfinite(growth) else "not finite",
            "along": str(along),
            "steps": steps,
            "factor a step": round(factor, 3) if math.isfinite(factor) else "not finite",
            "gradients are clipped": clipped,
            "clipping cures it": cured,
        },
        mechanism=f"a factor of {factor:.3g} at each of {steps} {along} → the first ones decide its direction, which "
        "is chaos → the loss jumps, or stays where it is",
        fix="smaller initial recurrent weights (orthogonal, gain 1), a gated layer, and clip_grad_norm_ after backward",
        confidence=0.95,
        explains=(
            "step.learning-rate-too-high",
            "step.learning-rate-too-low",
            "step.oscillating",
            "loss.starts-far-from-chance",
            "numeric.non-finite-loss",
            "numeric.non-finite-gradient",
        ),
    )


def _is_cured_by_clip(facts: Facts) -> bool:
    told, floor = curves.trial(facts, "clip=1"), curves.floor(facts)
    return told is not None and floor is not None and told.is_cured(floor, times=2)


def _clip_wins(facts: Facts) -> bool:
    """Whether a limit on the norm gains clearly more than the best of the smaller learning rates."""
    clip = curves.trial(facts, "clip=1")
    lower = [curves.trial(facts, name) for name in facts.trials if name.startswith("lr*0.")]
    if clip is None or not any(lower):
        return False
    best = min(one.with_it for one in lower if one is not None)
    return clip.start - clip.with_it > 1.3 * max(0.0, clip.start - best)
