"""`model.dead-units`: units that never fire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of

MOST = 0.85


@rule("model.dead-units")
def check(facts: Facts) -> Iterator[Finding]:
    """The units of a rectified layer are below zero for every sample: they give zero, and get no gradient.

    A unit that fires for no sample of the data has no way back. Where a whole layer is dead nothing before it learns,
    and the output is the same for every input. It comes from a large negative bias, from weights that are all
    negative, or from one step that was far too large.

    Proof: the outputs of the rectifier on a whole batch, unit by unit. A whole layer without one output above zero
    passes neither values nor gradients.

    Buggy::

        for layer in self.modules():
            nn.init.constant_(layer.bias, -4.6)        # meant for the last layer

    Fixed::

        nn.init.constant_(self.head.bias, -4.6)

    Healthy look-alikes: half of the units silent for any one sample; a few that no sample of a batch excites.

    Seen in: Stack Overflow 49891163, 54688502, 46639430, 53749895; keras-team/keras#7057.
    """
    first = facts.probe("train/dead_units")
    share = first.get("share")
    if isinstance(share, float) and share >= MOST:
        yield _finding(first, share, "from the start", severity="error" if share == 1.0 else "warning")
        return
    for scene in ("later", "eval"):
        told = facts.probe(f"{scene}/dead_units")
        late = told.get("share")
        # Where the loss went beyond all bounds that is the cause, and this is a consequence.
        falls = symptom_of(facts) in ("falls", "too-good", "explodes")
        if isinstance(late, float) and late >= MOST and (late == 1.0 or not falls):
            severity: Severity = "info" if falls else "warning"
            # Something that made steps too large may be behind it: that is told first.
            yield _finding(told, late, f"after {told['step']} steps", severity=severity, confidence=0.8)
            return
    if first.get("on_logits"):
        site = first.get("site")
        yield Finding(
            "model.dead-units",
            "a ReLU stands on the logits: where it is zero there is no gradient, and no logit can be negative",
            severity="warning",
            site=site if isinstance(site, Site) else None,
            evidence={"dead now": round(float(share), 3) if isinstance(share, float) else None},
            mechanism="logits below zero are cut off → they get no gradient → once all are, the loss is ln C for ever",
            fix="return the last layer's output as it is",
            confidence=0.85,
        )


def _finding(
    told: Mapping[str, object], share: float, when: str, *, severity: Severity, confidence: float | None = None
) -> Finding:
    site, bias = told.get("site"), told.get("bias")
    by_bias = told.get("by_bias")
    because = f", because its bias is about {bias:.3g}" if by_bias and isinstance(bias, float) else ""
    return Finding(
        "model.dead-units",
        f"{share:.0%} of the {told['units']} units of {told['module'] or 'a layer'} never fire {when}{because}",
        severity=severity,
        site=site if isinstance(site, Site) else None,
        evidence={
            "share of dead units": round(share, 4),
            "units": told["units"],  # type: ignore[dict-item]
            "values looked at of each": told["values"],  # type: ignore[dict-item]
            "mean bias": float(f"{bias:.4g}") if isinstance(bias, float) else None,
        },
        mechanism="below zero for every sample → the output is zero and so is the gradient → they stay as they "
        "are, and what "
        "comes before them learns nothing",
        fix="bias 0 and weights by kaiming_normal_; a smaller learning rate if one step killed them; LeakyReLU or GELU",
        confidence=confidence or (0.97 if share == 1.0 else 0.85),
        explains=("model.ignores-input", "model.vanishing-gradient", "step.learning-rate-too-low", "step.graph-cut"),
    )
