"""`model.init-too-large`: the first outputs or activations are far too large because of the initial weights."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.init-too-large")
def check(facts: Facts) -> Iterator[Finding]:
    """The initial weights are so large that the first outputs are huge, or the activations saturated.

    A layer with n inputs adds n products: weights of deviation 1 make its outputs √n times as large as its inputs,
    and a second such layer again. The first loss is then hundreds of times that of knowing nothing, and the first
    steps are spent on shrinking weights; behind a tanh or sigmoid there is no gradient left to do it with.

    Proof: in a copy of the program the weights that are too large were scaled to usual size, nothing else: the first
    loss fell to a small part. A weight is too large when its deviation times the root of its fan-in is above 3.5.

    Buggy::

        nn.init.normal_(layer.weight)                      # deviation 1, whatever the width

    Fixed::

        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    Healthy look-alikes: weights that forward multiplies by a constant (equalised learning rates, NTK parametrisation)
    and layers followed by a normalisation: the loss does not change; loaded weights; embeddings.

    Seen in: Stack Overflow 40147568, 56541683; TheDeepChecker's "wrong_init".
    """
    told = facts.probe("train/initial_scale")
    gain, first, usual, site = (told.get(one) for one in ("gain", "first", "usual", "site"))
    if not isinstance(gain, float) or not isinstance(first, float):
        return
    chance = facts.probe("train/chance").get("chance")
    saturated = told.get("saturated")
    share = saturated if isinstance(saturated, float) else 0.0
    times = 1.0
    if isinstance(usual, float) and math.isfinite(usual) and usual > 0:
        times = first / usual if math.isfinite(first) else math.inf
    above = first / chance if isinstance(chance, float) and chance > 0 else times
    proven = times > 4 and above > 4
    if not proven and not (share > 0.7 and gain > 5):
        return
    yield Finding(
        "model.init-too-large",
        f"the initial weights of {told['name']} are about {gain:.2g} times too large"
        + (f": with usual ones the first loss is {usual:.3g} instead of {first:.3g}" if proven else ""),
        severity="error" if proven and times > 8 else "warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "deviation of the weights": float(f"{told['deviation']:.3g}"),
            "inputs of each unit": told["fan_in"],  # type: ignore[dict-item]
            "growth through the layer": float(f"{gain:.3g}"),
            "layers with such weights": told["large"],  # type: ignore[dict-item]
            "first loss": float(f"{first:.4g}"),
            "first loss with weights of usual size": float(f"{usual:.4g}") if isinstance(usual, float) else None,
            "largest share of saturated activations": round(share, 3),
        },
        mechanism="large weights → outputs that are large and wrong → the first steps only shrink them, in jumps",
        fix="nn.init.kaiming_normal_(layer.weight), or a deviation of fan_in ** -0.5",
        confidence=0.96,
        explains=(
            "loss.starts-far-from-chance",
            "loss.target-scale",
            "model.dead-units",
            "model.vanishing-gradient",
            "step.learning-rate-too-high",
            "step.learning-rate-too-low",
            "step.oscillating",
            "step.clipping-ineffective",
        ),
    )
