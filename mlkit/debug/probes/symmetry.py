"""Whether the units of a layer are copies of each other, and stay so when this copy is trained for a few steps.

Not here: zero gradients and zero weights as such, which are healthy in many places.
"""

from __future__ import annotations

from torch import Tensor

from mlkit.debug.graph import leaves_of
from mlkit.debug.layers import filled_at, layers, names_of, nudged, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene

STEPS = 4


@probe("symmetry", seconds=4.0)
def measure(scene: Scene) -> Measurement:
    """``twins``: weights whose units are identical; ``remains``: and stay so; ``units``: how many there are of each."""
    if scene.loss is None or scene.session.step:
        return {}
    leaves = {id(one) for one in leaves_of(scene.loss)}
    found = layers(scene.path, weights_of(scene))
    used = {id(one): one for layer in found for one in layer.weights if one.dim() >= 2 and id(one) in leaves}
    tables = {id(one): one for one in _tables(scene) if id(one) in leaves and id(one) not in used}
    suspects = {number: axes for number, one in used.items() if (axes := _alike(one))}
    # The rows of a table are told apart by who is looked up; its columns are the units.
    suspects |= {number: [1] for number, one in tables.items() if 1 in _alike(one)}
    used |= tables
    if not suspects:
        return {}
    constants = [
        number
        for number in suspects
        if number not in tables and _is_constant(used[number]) and min(used[number].shape[:2]) > 3
    ]
    steps = sum(1 for _ in nudged(scene, STEPS))
    if not steps and any(float(one.detach().abs().max()) > 0 for one in used.values()):
        return {}
    twins = [
        (number, axis)
        for number, axes in suspects.items()
        if (axis := next((one for one in axes if _stays(used[number], one)), None)) is not None
    ]
    # The last layer's units are the classes: the loss itself tells them apart, or there is nothing to tell.
    last = {id(one) for one in found[-1].weights} if found else set()
    hidden = [entry for entry in twins if entry[0] not in last]
    parts = bool(hidden)
    if not hidden:  # equal weights, told apart by biases alone; zeros start so in many healthy places
        hidden = [(number, suspects[number][0]) for number in constants if number not in last]
    if not hidden:
        return {}
    names = names_of(scene)
    first = used[hidden[0][0]]
    return {
        "twins": [names.get(number, f"a weight of shape {tuple(used[number].shape)}") for number, _ in hidden],
        "units": int(first.shape[hidden[0][1]]),
        "layers": len(used),
        "remains": parts,
        "steps": steps,
        "site": filled_at(scene, first),
        "called_at": next((op.site for op in scene.path if any(one is first for one in op.inputs)), None),
    }


def _tables(scene: Scene) -> list[Tensor]:
    """Weights of two axes from which rows are looked up."""
    return [
        one
        for op in scene.path
        if op.name in ("embedding", "embedding_bag", "__getitem__", "index_select")
        for one in op.inputs
        if one.dim() == 2 and one.requires_grad and one.is_leaf
    ]


def _alike(weight: Tensor) -> list[int]:
    """The axes along which all slices are the same now."""
    return [axis for axis in (0, 1) if weight.shape[axis] > 1 and _is_alike(weight.detach(), axis)]


def _is_alike(weight: Tensor, axis: int) -> bool:
    scale = float(weight.abs().max())
    return float((weight - weight.select(axis, 0).unsqueeze(axis)).abs().max()) <= 1e-5 * scale


def _stays(weight: Tensor, axis: int) -> bool:
    """Whether all units along an axis are still the same, or all within each gate, or within each of q, k and v."""
    size = weight.shape[axis]
    return any(
        size % count == 0
        and size // count > 1
        and all(_is_alike(part, axis) for part in weight.detach().chunk(count, axis))
        for count in (1, 3, 4)
    )


def _is_constant(weight: Tensor) -> bool:
    """Whether all values are one number, and not zero."""
    values = weight.detach()
    size = float(values.abs().max())
    return size > 0 and float(values.max() - values.min()) <= 1e-5 * size
