"""`model.symmetric-init`: identical units stay identical."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.symmetric-init")
def check(facts: Facts) -> Iterator[Finding]:
    """All units of a hidden layer start with the same weights, and so remain one unit for ever.

    Equal weights give equal outputs, equal outputs get equal gradients, and equal gradients keep weights equal. A layer
    of 64 such units has the power of one; with zeros everywhere not even that one learns.

    Proof: the slices of the weight are identical now, and in a copy of the program that was trained for a few steps of
    plain gradient descent (without dropout) they still were.

    Buggy::

        nn.init.constant_(layer.weight, 0.1)
        weight = torch.zeros(64, 48, requires_grad=True)

    Fixed::

        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

    Healthy look-alikes: an output layer, a gate, a LoRA factor or a last BatchNorm scale of zeros: their gradients
    differ from unit to unit, and the copy's weights part at its first steps.

    Seen in: Stack Overflow 48027263, 35961434, 45997645, 42516484.
    """
    for _, told in scenes(facts, "symmetry"):
        names, site, called = told.get("twins"), told.get("site"), told.get("called_at")
        if not isinstance(names, list) or not names:
            continue
        place = site if isinstance(site, Site) else called if isinstance(called, Site) else None
        remains = bool(told["remains"])
        yield Finding(
            "model.symmetric-init",
            f"all {told['units']} units of {names[0]} have the same weights, "
            + ("and training keeps them the same" if remains else "and only their biases tell them apart"),
            severity="error" if remains else "warning",
            site=place,
            evidence={
                "weights of identical units": [str(one) for one in names[:8]],
                "layers with weights": told["layers"],
                "still identical after steps of training": told["steps"] if remains else "no",
            },
            mechanism="equal weights → equal outputs → equal gradients → the layer is one unit for ever, and "
            "the loss stops "
            "near that of a constant prediction",
            fix="random initial weights: nn.init.kaiming_uniform_(layer.weight), or torch.randn(…) * fan_in ** -0.5",
            confidence=0.98 if remains else 0.85,
            explains=(
                "model.*",
                "step.*",
                "loss.starts-far-from-chance",
                "shape.constant-attention",
                "loss.mismatched-task",
            ),
        )
        return
