"""How a hand-written penalty on the weights compares with the data: values, and the gradients of the two parts.

Not here: whether it is too strong (`step.regularisation-dominates`).
"""

from __future__ import annotations

import torch

from mlkit.debug.graph import leaves_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.terms import penalty_of


@probe("penalty")
def measure(scene: Scene) -> Measurement:
    """``ratio``: gradient of the penalty over that of the rest of the loss."""
    loss = scene.loss
    penalty = penalty_of(scene)
    if loss is None or penalty is None:
        return {}
    weights = [one for one in leaves_of(loss) if one.is_floating_point()]
    whole = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    factors = torch.autograd.grad(loss, penalty.terms, retain_graph=True, allow_unused=True)
    part = torch.autograd.grad(penalty.terms, weights, grad_outputs=factors, retain_graph=True, allow_unused=True)
    of_penalty = of_data = 0.0
    for total, mine in zip(whole, part, strict=True):
        if total is None:  # torch's stubs do not know allow_unused
            continue  # type: ignore[unreachable]
        rest = total if mine is None else total - mine
        of_data += float(rest.square().sum())
        of_penalty += float(mine.square().sum()) if mine is not None else 0.0
    return {
        "value": penalty.value,
        "data": float(loss.detach()) - penalty.value,
        "ratio": (of_penalty / max(of_data, 1e-30)) ** 0.5,
        "terms": len(penalty.terms),
        "site": penalty.site,
    }
