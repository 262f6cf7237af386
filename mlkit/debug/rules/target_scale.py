"""`loss.target-scale`: a regression target of a scale that the model and step size cannot reach."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("loss.target-scale")
def check(facts: Facts) -> Iterator[Finding]:
    """The target's numbers are far larger than what the model puts out, and training does not get there.

    Freshly initialised layers give outputs near one. A target in the hundred thousands makes an error, and with plain
    gradient descent a gradient, of that size: the first step explodes. With Adam each weight moves by at most the
    learning rate a step, so the output creeps towards the target for thousands of steps.

    Proof: target and output differ by a factor of fifty and more at the first step, and at the end the loss is not
    finite, or still above what predicting the mean of the targets would give.

    Buggy::

        loss = F.mse_loss(model(x), price)

    Fixed::

        price_scaled = (price - price_mean) / price_std      # undo it for reporting
        loss = F.mse_loss(model(x), price_scaled)

    Healthy look-alikes: large targets with an output layer whose bias starts at their mean, or with a step size to
    match: the loss falls below that of the mean.

    Seen in: Stack Overflow 45154470, 38319898; DeepFD 48934338.
    """
    told = facts.probe("train/chance")
    target, prediction, chance, site = (told.get(name) for name in ("target", "prediction", "chance", "site"))
    if told.get("kind") != "real" or not isinstance(target, Mapping) or not isinstance(prediction, Mapping):
        return
    if not target or not prediction or not isinstance(chance, float):
        return
    ratio = float(target["rms"]) / max(float(prediction["rms"]), 1e-12)
    if ratio < 30 or float(target["rms"]) < 20:
        return
    losses = curves.series(facts)
    if len(losses) < 20:
        return
    end = curves.level(losses)
    if end < 0.7 * chance:
        return
    sure = ratio > 100 and (end > 1.2 * chance or not math.isfinite(end))
    yield Finding(
        "loss.target-scale",
        f"the targets are about {float(target['rms']):.3g} and the model's outputs {float(prediction['rms']):.2g}: "
        "training does not bridge that",
        severity="error" if sure else "warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "root mean square of the targets": float(f"{float(target['rms']):.4g}"),
            "standard deviation of the targets": float(f"{float(target['std']):.4g}"),
            "root mean square of the first outputs": float(f"{float(prediction['rms']):.4g}"),
            "first loss": float(f"{losses[0]:.4g}"),
            "loss of predicting the mean": float(f"{chance:.4g}"),
            "loss at the end": float(f"{end:.4g}") if math.isfinite(end) else "not finite",
        },
        mechanism="targets far from the output's scale → errors and gradients of that size, or too far to "
        "go → the loss explodes, or ends above that of a constant",
        fix="target = (target - target.mean()) / target.std()   # statistics of the training part; undo for reporting",
        confidence=0.95,
        explains=(
            "step.learning-rate-too-low",
            "step.learning-rate-too-high",
            "step.oscillating",
            "loss.starts-far-from-chance",
            "numeric.exploding-gradient",
            "numeric.non-finite-loss",
            "numeric.non-finite-gradient",
            "model.dead-units",
            "model.ignores-input",
            "loss.reduction-scale",
        ),
    )
