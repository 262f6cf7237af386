"""Which share of the units behind each rectifier never fires on the batch, and what keeps them below zero.

Not here: units that are silent for some samples only, as half of them are.
"""

from __future__ import annotations

from torch import Tensor

from mlkit.debug.layers import Layer, filled_at, layers, line_of_layer, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op

_RECTIFIERS = frozenset(
    [
        "relu",
        "relu_",
        "threshold",
        "threshold_",
        "relu6",
        "hardtanh",
        "clamp",
        "clamp_",
        "clip",
        "clamp_min",
        "clamp_min_",
        "maximum",
    ]
)
LEAST_VALUES = 24
LEAST_UNITS = 4


@probe("dead_units", scenes=("train", "eval", "later"))
def measure(scene: Scene) -> Measurement:
    """``share`` of dead units in the worst rectified layer, its ``units``, and the line that set its weights."""
    roots = [head.prediction for head in scene.heads] or scene.outputs
    ops = scene.trace.behind(roots)
    found = layers(ops, weights_of(scene))
    by_output = {id(out): one for one in found for out in one.op.outputs}
    below: dict[int, Layer] = {}
    worst: Measurement = {}
    count = 0
    for op in ops:
        source = next(
            (by_output.get(id(one)) or below.get(id(one)) for one in op.inputs if _has(one, by_output, below)), None
        )
        if source is None:
            continue
        for out in op.outputs:
            if id(out) not in by_output:
                below.setdefault(id(out), source)
        share = _share(op, source) if op.name in _RECTIFIERS else None
        if share is None:
            continue
        count += 1
        if not worst or share > float(worst["share"]):  # type: ignore[arg-type]
            worst = {"share": share, **_described(scene, op, source)}
    return {**worst, "rectifiers": count} if worst else {}


def _has(one: Tensor, *known: dict[int, Layer]) -> bool:
    return any(id(one) in each for each in known)


def _units(value: Tensor, layer: Layer) -> Tensor | None:
    """One row a unit: along axis 1 of maps, the last axis of rows."""
    if value.dim() < 2 or not value.is_floating_point():
        return None
    axis = 1 if value.dim() >= 3 and layer.op.name.startswith("conv") else value.dim() - 1
    rows = value.detach().movedim(axis, 0).flatten(1)
    return rows if rows.shape[0] >= LEAST_UNITS and rows.shape[1] >= LEAST_VALUES else None


def _share(op: Op, layer: Layer) -> float | None:
    if op.name.startswith(("clamp", "clip")) and op.argument(1, "min") not in (0, 0.0):
        return None
    rows = _units(op.outputs[0], layer) if op.outputs else None
    if rows is None or bool((rows < 0).any()):
        return None
    return float((rows == 0).all(1).float().mean())


def _described(scene: Scene, op: Op, layer: Layer) -> Measurement:
    out = layer.op.outputs[0].detach()
    rows = _units(out, layer)
    biases = [one for one in layer.weights if one.dim() == 1]
    low = max(biases, key=lambda one: float(-one.detach().mean()), default=None)
    by_bias = False
    if low is not None and rows is not None and low.numel() == rows.shape[0]:
        moved = rows - low.detach().unsqueeze(1)
        by_bias = float((moved > 0).any(1).float().mean()) > 0.5
    filled = filled_at(scene, low if by_bias and low is not None else layer.weight)
    rows_out = _units(op.outputs[0], layer)
    return {
        "units": int(rows_out.shape[0]) if rows_out is not None else 0,
        "values": int(rows_out.shape[1]) if rows_out is not None else 0,
        "by_bias": by_bias,
        "bias": float(low.detach().mean()) if low is not None else None,
        "module": layer.op.modules[-1] if layer.op.modules else "",
        "site": filled or line_of_layer(scene, layer.op),
        "step": scene.session.step,
        "on_logits": _is_prediction(scene, op),
    }


def _is_prediction(scene: Scene, op: Op) -> bool:
    """Whether the rectified values themselves are the logits of a cross-entropy."""
    made = {id(one) for one in op.outputs}
    return any(head.name == "cross_entropy" and id(head.prediction) in made for head in scene.heads)
