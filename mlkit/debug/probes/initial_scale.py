"""How much the initial weights enlarge what passes through them, and what the first loss is with weights of usual size.

Not here: inputs or targets that are not scaled.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlkit.debug.layers import Layer, filled_at, is_fresh, layers, line_of_layer, names_of, rerunnable, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.trace import replay

LARGE = 3.5
"""Root mean square of a weight times the root of its fan-in; usual initialisations have 0.6 to 1.5."""
_SATURATING = {"tanh": 0.99, "tanh_": 0.99, "sigmoid": 0.99, "sigmoid_": 0.99}


@probe("initial_scale")
def measure(scene: Scene) -> Measurement:
    """``gain`` of the largest weights, ``first`` loss and the ``usual`` one with those weights scaled down."""
    if scene.loss is None or scene.loss.numel() != 1 or not is_fresh(scene):
        return {}
    embedded = {id(one) for op in scene.trace.ops if op.name == "embedding" for one in op.inputs}
    found = [
        one
        for one in layers(scene.path, weights_of(scene))
        if any(one.weight is given for given in one.op.inputs) and id(one.weight) not in embedded
    ]
    gains = {id(one.weight): _gain(one) for one in found}
    large = [one for one in found if gains[id(one.weight)] > LARGE]
    if not large:
        return {}
    worst = max(large, key=lambda one: gains[id(one.weight)])
    scaled = {id(one.weight): one.weight.detach() / gains[id(one.weight)] for one in large}
    with torch.no_grad():
        torch.manual_seed(0)
        usual = replay(rerunnable(scene.path, weights_of(scene)), scaled).get(id(scene.loss))
    result: Measurement = {
        "gain": gains[id(worst.weight)],
        "name": names_of(scene).get(id(worst.weight), f"a weight of shape {tuple(worst.weight.shape)}"),
        "deviation": float(worst.weight.detach().float().square().mean().sqrt()),
        "fan_in": _fan_in(worst),
        "large": len({id(one.weight) for one in large}),
        "site": filled_at(scene, worst.weight) or line_of_layer(scene, worst.op),
        "first": float(scene.loss.detach()),
        "saturated": _saturated(scene),
    }
    if isinstance(usual, Tensor):
        result["usual"] = float(usual)
    return result


def _fan_in(layer: Layer) -> int:
    weight = layer.weight
    if layer.op.name in ("linear",) or layer.op.name.startswith(("conv1", "conv2", "conv3", "lstm", "gru", "rnn")):
        return max(1, weight[0].numel())
    return int(weight.shape[-2])


def _gain(layer: Layer) -> float:
    size = float(layer.weight.detach().float().square().mean().sqrt())
    return size * math.sqrt(_fan_in(layer))


def _saturated(scene: Scene) -> float:
    """The largest share of saturated values among the activations."""
    worst = 0.0
    for op in scene.path:
        limit = _SATURATING.get(op.name)
        if limit is None or not op.outputs:
            continue
        out = op.outputs[0].detach()
        if out.numel() < 16 or not out.is_floating_point():
            continue
        far = out.abs() > limit if op.name.startswith("tanh") else (out - 0.5).abs() > 0.49
        worst = max(worst, float(far.float().mean()))
    return worst
