"""Pairs of parameters of one model that hold the same random values: copies where one shared parameter was meant.

Not here: parameters that were one object and are two now (`mlkit.debug.observe.structure`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import nn

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Scene
from mlkit.debug.trace import modules_by_name

SMALLEST = 8
"""Fewer numbers than these may agree by accident of a constant initial value."""


@probe("ties")
def ties(scene: Scene) -> Measurement:
    """Equal weights of an embedding and a linear layer, or of two linear layers of transposed shape."""
    pairs = []
    for call in scene.model_calls:
        owners = [
            (name, one) for name, one in modules_by_name(call.module) if isinstance(one, (nn.Embedding, nn.Linear))
        ]
        for (name, left), (other, right) in combinations(owners, 2):
            one, two = left.weight, right.weight
            if one is two or not (one.requires_grad and two.requires_grad) or one.numel() < SMALLEST:
                continue
            if isinstance(left, nn.Linear) and isinstance(right, nn.Linear):
                is_equal, is_transposed = _is_equal(one, two.t()), True
            elif isinstance(left, nn.Embedding) and isinstance(right, nn.Embedding):
                continue
            else:
                is_equal, is_transposed = _is_equal(one, two), False
                if not is_equal:
                    is_equal, is_transposed = _is_equal(one, two.t()), True
            if is_equal:
                shares = one.untyped_storage().data_ptr() == two.untyped_storage().data_ptr()
                pairs.append(
                    {
                        "names": (f"{name}.weight", f"{other}.weight"),
                        "numbers": one.numel(),
                        "transposed": is_transposed,
                        "shares_memory": shares,
                        "site": next(_sites(scene, left, right), None),
                    }
                )
    return {"pairs": pairs} if pairs else {}


def _is_equal(one: torch.Tensor, two: torch.Tensor) -> bool:
    if one.shape != two.shape or one.dtype != two.dtype or one.device != two.device:
        return False
    return bool(torch.equal(one, two)) and float(one.detach().float().std()) > 0


def _sites(scene: Scene, left: nn.Embedding | nn.Linear, right: nn.Embedding | nn.Linear) -> Iterator[object]:
    structure = scene.session.structure
    layers: tuple[nn.Module, ...] = (right, left)
    for module in layers:
        if (site := structure.weight_assigned_at(module)) is not None:
            yield site
    memory = {one.weight.untyped_storage().data_ptr() for one in (left, right)}
    for op in reversed(scene.trace.ops):
        if op.name in ("copy_", "data.__set__") and any(_memory(one) in memory for one in op.inputs[:1]):
            yield op.site
    for module in layers:
        yield scene.session.modules.made_at(module)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else 0
