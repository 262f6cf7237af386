"""Whether a model remembers: the same batch twice in evaluation mode, another between; and what it carries over steps.

Not here: whether the batches follow each other in time, so that it should.
"""

from __future__ import annotations

from torch import Tensor

from mlkit.debug.layers import tolerant, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import Steps, moved, recorded
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, tensors_in

_DRAWING = frozenset(["randint", "randperm", "multinomial", "bernoulli"])


@probe("state", scenes=("train", "later"))
@tolerant
def measure(scene: Scene) -> Measurement:
    """``remembers``: an output that changes when another batch came between; ``carried``: state from earlier steps."""
    if scene.call is None or any(one.requires_grad for one in scene.inputs):
        return {}
    result: Measurement = {"is_random_order": _drawn(scene), "handed": _handed(scene)}
    first = recorded(scene, {}, remembers=True)
    other = {id(one): _other(one) for one in scene.inputs if one.dim()}
    recorded(scene, other, remembers=True)
    again = recorded(scene, {}, remembers=True)
    if [op.name for op, _ in first] != [op.name for op, _ in again] or not first:
        return result
    result["remembers"] = False
    for (op, before), (_, now) in zip(first, again, strict=True):
        if any(moved(one, two, tolerance=1e-5) for one, two in zip(before, now, strict=False)):
            result["site"], result["op"] = op.site, op.name
            result["remembers"] = _ends_moved(first, again)
            break
    result["carried"] = _carried(scene)
    return result


def _ends_moved(first: Steps, again: Steps) -> bool:
    pairs = zip(reversed(first), reversed(again), strict=True)
    for (_, before), (_, now) in pairs:
        floats = [(one, two) for one, two in zip(before, now, strict=False) if one.is_floating_point()]
        if floats:
            return any(moved(one, two, tolerance=1e-5) for one, two in floats)
    return False


def _other(tensor: Tensor) -> Tensor:
    """The rows in another order, numbers doubled: other values, each still of its column."""
    rolled = tensor.detach().roll(1, 0)
    return rolled * 2 if rolled.is_floating_point() else rolled


def _drawn(scene: Scene) -> bool:
    """Whether the batch was drawn at random by the segment's own indexing."""
    behind: list[Op] = scene.trace.behind(scene.inputs)
    return any(op.name in _DRAWING for op in behind)


def _strangers(scene: Scene) -> list[Tensor]:
    """Values that the model's ops use and that no op of this segment made: neither weights, buffers nor arguments."""
    assert scene.call is not None
    known = {id(one) for one in weights_of(scene)} | {id(one) for one in scene.inputs}
    known |= {id(one) for call in scene.model_calls for one in call.module.buffers()}
    made = {id(one) for op in scene.trace.ops for one in op.outputs if not op.is_in_place}
    inside = scene.trace.ops[scene.call.start : scene.call.stop]
    found = [one for op in inside for one in op.inputs if id(one) not in known | made]
    return [one for one in found if one.is_floating_point() and one.numel() > 1]


def _carried(scene: Scene) -> bool:
    """Whether the model uses a value of its own from an earlier step, and no constant."""
    outputs = {tuple(one.shape) for op in scene.trace.ops for one in op.outputs}
    strangers = [*_strangers(scene), *_detached(scene)]
    return any(tuple(one.shape) in outputs and bool((one != 0).any()) for one in strangers)


def _detached(scene: Scene) -> list[Tensor]:
    """Values of earlier steps that only a ``detach`` of this one made."""
    assert scene.call is not None
    made = {id(one) for op in scene.trace.ops for one in op.outputs if op.name not in ("detach", "detach_", "data")}
    known = {id(one) for one in weights_of(scene)}
    cut = [op for op in scene.trace.ops[: scene.call.stop] if op.name in ("detach", "data")]
    return [out for op in cut for out in op.outputs for one in op.inputs if id(one) not in made | known]


def _handed(scene: Scene) -> bool:
    """Whether the program itself hands the model a state that an earlier step gave it."""
    assert scene.call is not None
    outputs = {tuple(one.shape) for one in scene.outputs}
    made = {id(one) for op in scene.trace.ops for one in op.outputs if op.name not in ("detach", "detach_", "data")}
    data = {id(head.target) for head in scene.heads}
    given = [
        one
        for value in (*scene.call.args, *scene.call.kwargs.values())
        for one in tensors_in(value)
        if one.is_floating_point() and one.dim() >= 2
    ]
    primary = given[0] if given else None
    return any(
        one is not primary
        and id(one) not in made | data
        and tuple(one.shape) in outputs
        and bool((one != 0).any())
        and any(op.name in ("lstm", "gru", "rnn_tanh", "rnn_relu") for op in scene.path)
        for one in given
    )
