"""`model.vanishing-gradient`: gradients shrink away with depth or time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of


@rule("model.vanishing-gradient")
def check(facts: Facts) -> Iterator[Finding]:
    """On its way back through layers or time, the gradient is multiplied by far less than one again and again.

    A sigmoid passes a quarter of the gradient at most; twelve of them a ten-millionth. The first layers then stay as
    they were drawn, the last ones see noise, and the loss rests at that of a constant prediction.

    Proof: the norm of the live loss's gradient at the output of every layer (or every time step), together with a loss
    that does not fall. Where the loss falls nothing is said: training cures it by itself.

    Buggy::

        for layer in self.layers:                  # twelve of them
            x = torch.sigmoid(layer(x))

    Fixed::

        for layer in self.layers:
            x = x + torch.relu(norm(layer(x)))

    Healthy look-alikes: gates of recurrent layers at the start, residual blocks whose last scale is zero, warm-up.

    Seen in: Stack Overflow 50209981; AUTOTRAINER's "vanishing gradient".
    """
    told = facts.probe("train/gradient_decay")
    stuck = symptom_of(facts) in ("plateaus", "slow")
    if not stuck or _is_cured_by_rate(facts):
        return
    depth, time = told.get("depth"), told.get("time")
    if isinstance(depth, Mapping) and depth["ratio"] < 1e-3 and depth["monotone"] > 0.6:
        yield _finding(depth, "layers", "error" if depth["ratio"] < 1e-5 else "warning")
    elif isinstance(time, Mapping) and time["ratio"] < 1e-6 and time["steps"] >= 15:
        yield _finding(time, str(time["along"]), "warning")


def _is_cured_by_rate(facts: Facts) -> bool:
    floor = curves.floor(facts)
    names = [name for name in facts.trials if name.startswith("lr*") and name != "lr*0"]
    found = [curves.trial(facts, name) for name in names]
    return floor is not None and any(one is not None and one.is_cured(floor, times=2) for one in found)


def _finding(told: Mapping[str, object], along: str, severity: Severity) -> Finding:
    ratio, steps, site = told["ratio"], told["steps"], told["site"]
    assert isinstance(ratio, float)
    assert isinstance(steps, int)
    factor = ratio ** (1 / max(1, steps - 1))
    activations = told.get("activations")
    return Finding(
        "model.vanishing-gradient",
        f"the gradient shrinks to {ratio:.1g} of itself on its way back through {steps} {along}",
        severity=severity,
        site=site if isinstance(site, Site) else None,
        evidence={
            "gradient at the first, over that at the last": float(f"{ratio:.3g}"),
            along: steps,
            "factor a step": round(factor, 3),
            "activations": [str(one) for one in activations] if isinstance(activations, list) else None,
        },
        mechanism=f"a factor of {factor:.2g} at each of {steps} {along} → the first ones do not learn → the "
        "loss stays at that "
        "of a constant prediction",
        fix="ReLU or GELU with a fitting initialisation, normalisation, residual connections; a gated layer for time",
        confidence=0.93 if severity == "error" else 0.75,
        explains=("step.learning-rate-too-low", "model.too-small", "loss.mismatched-task", "model.dead-units"),
    )
