"""How the gradient shrinks on its way back through the layers, a loop, or time.

Not here: its growth (`gradient_growth`), and whether training cures it by itself.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from mlkit.debug.layers import layers, line_of_layer, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.probes.gradient_growth import _of_loops, _of_time
from mlkit.debug.scene import Scene

LEAST_LAYERS = 4
_SATURATING = frozenset(
    ["sigmoid", "sigmoid_", "tanh", "tanh_", "softmax", "hardsigmoid", "hardtanh", "softsign", "logsigmoid"]
)


@probe("gradient_decay")
def measure(scene: Scene) -> Measurement:
    """``depth`` and ``time``, each: ``ratio`` (gradient at the first over the last), ``steps``, ``site``."""
    if scene.loss is None or scene.loss.numel() != 1:
        return {}
    found: Measurement = {}
    if depth := _of_depth(scene):
        found["depth"] = depth
    for told in (_of_loops(scene), _of_time(scene)):
        growth = told.get("growth")
        if isinstance(growth, float) and 0 < growth < 1:
            steps = told["steps"]
            found["time"] = {"ratio": growth, "steps": steps, "site": told["site"], "along": told["along"]}
    return found


def _of_depth(scene: Scene) -> dict[str, object]:
    """Gradient norms at the outputs of the layers, one for each depth."""
    assert scene.loss is not None
    chain: dict[int, tuple[Tensor, object]] = {}
    found = layers(scene.path, weights_of(scene))
    for one in found:
        out = one.op.outputs[0] if one.op.outputs else None
        if out is not None and out.requires_grad and one.depth not in chain:
            chain[one.depth] = (out, line_of_layer(scene, one.op))
    if len(chain) < LEAST_LAYERS:
        return {}
    order = sorted(chain)
    gradients = torch.autograd.grad(
        scene.loss, [chain[depth][0] for depth in order], retain_graph=True, allow_unused=True
    )
    norms = [float(one.norm()) for one in gradients if one is not None]
    if len(norms) < LEAST_LAYERS or not all(math.isfinite(one) and one > 0 for one in norms):
        return {}
    down = sum(before < after for before, after in pairwise(norms)) / (len(norms) - 1)
    squash = [op for op in scene.path if op.name in _SATURATING and op.modules]
    called = next((op.site for op in squash if line_of_layer(scene, op) == op.site), None)
    return {
        "ratio": norms[0] / norms[-1],
        "steps": len(norms),
        "monotone": down,
        "site": called or chain[order[0]][1],
        "activations": sorted({op.name for op in squash}),
    }
