"""Whether a narrow layer keeps the model from memorising its batch: trained as it is, and with a wide head instead.

Not here: models that are to be narrow (autoencoders), and slow ones.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from mlkit.debug.graph import leaves_of
from mlkit.debug.layers import Layer, layers, line_of_layer, names_of, rerunnable, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Head, Scene
from mlkit.debug.trace import replay

STEPS = 100
SECONDS = 1.2
WIDTH = 64


@probe("capacity", seconds=4.0)
def measure(scene: Scene) -> Measurement:
    """``own``: the loss after training this copy on the batch; ``wide``: that of a wide head in the layer's place."""
    head = scene.head
    if scene.loss is None or scene.loss.numel() != 1 or head is None or head.kind not in ("classes", "one-hot"):
        return {}
    rows, classes = _sizes(head)
    if rows < 8 or classes < 4 or rows > 4096:
        return {}
    found = layers(scene.path, weights_of(scene))
    narrow = _narrowest(found, rows, classes)
    if narrow is None:
        return {}
    own = _own(scene)
    wide = _wide(scene, head, narrow, rows)
    if own is None or wide is None:
        return {}
    return {
        "own": own,
        "wide": wide,
        "first": float(scene.loss.detach()),
        "width": _units(narrow),
        "classes": classes,
        "rows": rows,
        "name": names_of(scene).get(id(narrow.weight), ""),
        "site": _built(scene, narrow),
    }


def _sizes(head: Head) -> tuple[int, int]:
    shape = head.prediction.shape
    return (int(shape[0]), int(shape[1])) if len(shape) == 2 else (0, 0)


def _units(layer: Layer) -> int:
    return int(layer.op.outputs[0].shape[-1])


def _narrowest(found: list[Layer], rows: int, classes: int) -> Layer | None:
    """A hidden layer with a row a sample that is far narrower than the classes, and that all goes through."""
    hidden = [
        one
        for one in found[:-1]
        if one.op.outputs and one.op.outputs[0].dim() == 2 and one.op.outputs[0].shape[0] == rows
    ]
    alone = [one for one in hidden if sum(other.depth == one.depth for other in found) == 1]
    narrow = [one for one in alone if _units(one) ** 2 < classes and _units(one) <= 3]
    return min(narrow, key=_units, default=None)


def _built(scene: Scene, layer: Layer) -> object:
    for call in scene.trace.module_calls:
        if any(one is layer.weight for one in call.module.parameters(recurse=False)):
            return scene.session.modules.made_at(call.module) or call.site
    return line_of_layer(scene, layer.op)


def _own(scene: Scene) -> float | None:
    """The best loss of this copy, trained by Adam on the batch."""
    assert scene.loss is not None
    leaves = [one for one in leaves_of(scene.loss) if one.is_floating_point()]
    saved = [one.detach().clone() for one in leaves]
    optimizer = torch.optim.Adam(leaves, lr=1e-2)
    ops = rerunnable(scene.path, leaves)
    best, begin = float("inf"), time.process_time()
    for _ in range(STEPS):
        loss = replay(ops, {id(one): one for one in leaves}).get(id(scene.loss))
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return None
        best = min(best, float(loss.detach()))
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        optimizer.step()
        if time.process_time() - begin > SECONDS:
            return None if best > 0.9 * float(scene.loss.detach()) else best
    with torch.no_grad():
        for leaf, value in zip(leaves, saved, strict=True):
            leaf.data.copy_(value)
    return best


def _wide(scene: Scene, head: Head, narrow: Layer, rows: int) -> float | None:
    """The best loss of a wide head on what enters the narrow layer, as that is now."""
    given = next(
        (one for one in narrow.op.inputs if one.dim() == 2 and one.shape[0] == rows and one is not narrow.weight), None
    )
    if given is None:
        return None
    features = given.detach().float()
    features = (features - features.mean(0)) / (features.std(0) + 1e-5)
    model = nn.Sequential(nn.Linear(features.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, head.prediction.shape[1]))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    best, begin = float("inf"), time.process_time()
    for _ in range(STEPS):
        loss = scene.loss_of({id(head.prediction): model(features)})
        best = min(best, float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if time.process_time() - begin > SECONDS:
            break
    return best
