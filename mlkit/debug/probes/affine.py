"""Whether the last layer's output is an affine function of the input: f(a + b) + f(0) = f(a) + f(b), on the real model.

Not here: models with one layer, for which that is right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.layers import Layer, layers, line_of_layer, names_of, tolerant, weights_of
from mlkit.debug.probes import Measurement, probe
from mlkit.debug.rerun import Steps, recorded
from mlkit.debug.scene import Scene
from mlkit.debug.trace import Op, replay

SCALES = (1.0, 10.0, 100.0)
NUMBERS_LIMIT = 2_000_000


@probe("affine", seconds=4.0)
@tolerant
def measure(scene: Scene) -> Measurement:
    """``is_affine``, ``layers`` (with weights, in sequence), ``widths`` between them, ``ends`` (inputs and outputs)."""
    if not scene.heads or any(one.requires_grad for one in scene.inputs):
        return {}
    chain = _chain(layers(scene.trace.behind([scene.heads[0].prediction]), weights_of(scene)))
    if len(chain) < 2:
        return {}
    _stir(scene)
    base = recorded(scene, {})
    mine = _chain(layers([op for op, _ in base], weights_of(scene)))
    if len(mine) < 2:
        return {}
    last = mine[-1].op
    entries = _entries(scene, base)
    if not entries or sum(one.numel() for one in entries) > NUMBERS_LIMIT:
        return {}
    ops = [op for op, _ in base]
    errors = []
    for scale in SCALES:
        error = _error(ops, last.output, entries, scale)
        if error is None:
            return {}
        errors.append(error)
    widths = [_width(one) for one in mine]
    return {
        "is_affine": max(errors) < 2e-4,
        "error": max(errors),
        "layers": len(mine),
        "widths": widths[:-1],
        "ends": [_inputs(mine[0]), widths[-1]],
        "site": line_of_layer(scene, _before_the_gap(chain).op),
        "names": [names_of(scene).get(id(one.weight), "") for one in mine],
        "spatial": any(one.op.name.startswith("conv") for one in mine),
    }


def _before_the_gap(chain: list[Layer]) -> Layer:
    """The layer behind which a non-linearity is most likely missing: two of one block, else the first."""
    owners = [one.op.modules[-2] if len(one.op.modules) > 1 else "" for one in chain]
    inner = [at for at in range(len(chain) - 1) if owners[at] == owners[at + 1] and owners[at].count(".")]
    return chain[inner[0] if inner else 0]


def _stir(scene: Scene) -> None:
    """Move all weights a little: what starts at zero (a query, a gate) hides a non-linearity until then."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in weights_of(scene):
            if one.is_floating_point():
                size = max(0.3 * float(one.std()) if one.numel() > 1 else 0.0, 0.05)
                one.add_(size * torch.randn(one.shape, generator=generator).to(one))


def _chain(found: list[Layer]) -> list[Layer]:
    """The layers in sequence up to the deepest, one for each depth."""
    chain: dict[int, Layer] = {}
    for one in found:
        chain.setdefault(one.depth, one)
    return [chain[depth] for depth in sorted(chain)]


def _width(layer: Layer) -> int:
    out = layer.op.outputs[0]
    return int(out.shape[1] if layer.op.name.startswith("conv") and out.dim() > 2 else out.shape[-1])


def _inputs(layer: Layer) -> int:
    return max(1, layer.weight.numel() // max(1, _width(layer)))


def _entries(scene: Scene, base: Steps) -> list[Tensor]:
    """Where numbers enter: the inputs, or for whole numbers what an embedding made of them."""
    given = [one for one in scene.inputs if one.is_floating_point() and one.dim() and one.numel() > 1]
    if given or scene.call is None:
        return given
    return [out for op, outputs in base if op.name == "embedding" for out in outputs[:1]]


def _error(ops: list[Op], output: object, entries: list[Tensor], scale: float) -> float | None:
    """How far from affine, in units of what the input moves."""
    assert isinstance(output, Tensor)
    generator = torch.Generator().manual_seed(0)
    first = {id(one): one.detach() * scale for one in entries}
    second = {
        id(one): scale
        * torch.randn(one.shape, generator=generator).to(one)
        * (one.detach().float().std() + 1e-3).to(one)
        for one in entries
    }
    zero = {number: torch.zeros_like(one) for number, one in first.items()}
    both = {number: first[number] + second[number] for number in first}
    values = []
    for given in (zero, first, second, both):
        torch.manual_seed(0)
        with torch.no_grad():
            new = replay(ops, given).get(id(output))
        if not isinstance(new, Tensor) or not bool(torch.isfinite(new).all()):
            return None
        values.append(new.double())
    none, a, b, ab = values
    reach = float((a - none).abs().max() + (b - none).abs().max())
    if reach <= 1e-9 * float(none.abs().max()) or reach == 0:
        return None
    return float((ab + none - a - b).abs().max()) / reach
