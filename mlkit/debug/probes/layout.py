"""Reshapes that tear apart what belongs together, and softmaxes over an axis that cannot be meant.

Not here: whether samples are mixed (`independence`).
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op

RESHAPES = ("view", "reshape", "resize_", "_unsafe_view")
SUMS = ("sum", "mean")
PRODUCTS = ("matmul", "bmm", "__matmul__", "__rmatmul__", "mm")


@probe("layout")
def layout(scene: Scene) -> Measurement:
    """Reshapes whose new axes straddle the old ones; and how pixels of image inputs hang together."""
    torn = []
    for op in scene.trace.ops:
        if op.name not in RESHAPES or not op.inputs or not op.outputs or op.site is None:
            continue
        before, after = op.inputs[0], op.outputs[0]
        if isinstance(before, nn.Parameter) or before.dim() < 2 or after.dim() < 2:
            continue
        if before.dim() < 3 and not before.is_floating_point():
            continue  # tables of tokens or indices are cut into windows as one likes
        kind = torn_axes(tuple(before.shape), tuple(after.shape))
        if kind:
            entry = {
                "site": op.site,
                "before": str(tuple(before.shape)),
                "after": str(tuple(after.shape)),
                "kind": kind,
            }
            torn.append({**entry, "in_model": bool(op.modules)})
    return {"torn": torn[:5], "periods": [found for one in scene.inputs if (found := _period(one)) is not None]}


def torn_axes(before: tuple[int, ...], after: tuple[int, ...]) -> str | None:
    """``permuted`` or ``straddling`` where a reshape cannot be a split or merge of neighbouring axes; else None.

    >>> torn_axes((8, 16, 16, 3), (8, 3, 16, 16)), torn_axes((8, 12, 4), (8, 48)), torn_axes((8, 48), (8, 12, 4))
    ('permuted', None, None)
    >>> torn_axes((5, 7, 6), (7, 30))
    'straddling'
    """
    old, new = [one for one in before if one != 1], [one for one in after if one != 1]
    if old == new or len(old) < 2 or len(new) < 2 or math.prod(old) != math.prod(new):
        return None
    if sorted(old) == sorted(new):
        return "permuted"
    borders = sorted({*_borders(old), *_borders(new)})
    return None if all(larger % smaller == 0 for smaller, larger in pairwise(borders)) else "straddling"


def _borders(shape: list[int]) -> list[int]:
    found, product = [], 1
    for one in shape:
        product *= one
        found.append(product)
    return found


def _period(images: Tensor) -> dict[str, object] | None:
    """Channels-first images that were viewed from channels-last ones repeat with the number of channels along a row."""
    if images.dim() != 4 or images.shape[1] not in (3, 4) or images.shape[-1] < 12 or not images.is_floating_point():
        return None
    channels = images.shape[1]
    rows = images.detach()[:64].float()
    rows = rows - rows.mean(dim=(2, 3), keepdim=True)
    near = max(_correlation(rows, lag) for lag in range(1, channels))
    return {"channels": channels, "at_channels": _correlation(rows, channels), "nearer": near}


def _correlation(rows: Tensor, lag: int) -> float:
    return float((rows[..., lag:] * rows[..., :-lag]).mean() / rows.square().mean().clamp(min=1e-12))


@probe("softmax-axes")
def softmax_axes(scene: Scene) -> Measurement:
    """Softmaxes over an axis of one, and attention weights that are normalised over another axis than is summed."""
    singles, crossed = [], []
    final = {id(head.prediction) for head in scene.heads} | {id(head.output) for head in scene.heads}
    for op in scene.trace.ops:
        if op.name not in ("softmax", "log_softmax", "softmin") or not op.inputs or not op.outputs:
            continue
        given, made = op.inputs[0], op.outputs[0]
        axis = op.argument(1, "dim")
        if not isinstance(axis, int) or not given.dim() or not given.requires_grad:
            continue
        axis %= given.dim()
        entry: dict[str, object] = {"site": op.site, "shape": str(tuple(given.shape)), "dim": axis}
        entry["module"] = op.modules[-1] if op.modules else ""
        entry["is_final"] = id(made) in final or _is_final(scene, made)
        if given.shape[axis] == 1:
            singles.append(entry)
        elif op.name == "softmax" and (summed := _summed_axis(scene, op, made)) is not None and summed != axis:
            crossed.append({**entry, "summed": summed, "size": given.shape[axis], "summed_size": made.shape[summed]})
    return {"singles": singles[:4], "crossed": crossed[:4]}


def _is_final(scene: Scene, made: Tensor) -> bool:
    """Whether nothing but reshapes and the loss comes after it."""
    return any(made is one for one in scene.outputs)


def _summed_axis(scene: Scene, op: Op, weights: Tensor) -> int | None:
    """The axis of the weights over which they are summed with values by the next op that uses them."""
    for later in scene.trace.ops[op.index + 1 :]:
        places = [place for place, one in enumerate(later.args) if one is weights]
        if not places:
            continue
        if later.name in PRODUCTS and weights.dim() >= 2:
            first = places[0] == 0 if later.name != "__rmatmul__" else places[0] != 0
            other = later.args[1 - places[0]] if len(later.args) > 1 else None
            if isinstance(other, Tensor) and other.dim() >= 2:
                return weights.dim() - 1 if first else weights.dim() - 2
            return None
        if later.name in ("mul", "__mul__", "__rmul__") and later.outputs:
            return _reduced(scene, later, weights)
        if later.name.endswith("dropout") and later.outputs:
            return _summed_axis(scene, later, later.outputs[0])
        return None
    return None


def _reduced(scene: Scene, product: Op, weights: Tensor) -> int | None:
    made = product.outputs[0]
    for later in scene.trace.ops[product.index + 1 :]:
        if any(one is made for one in later.inputs):
            axis = later.argument(1, "dim")
            if later.name in SUMS and isinstance(axis, int) and made.dim() == weights.dim():
                return axis % made.dim()
            return None
    return None
