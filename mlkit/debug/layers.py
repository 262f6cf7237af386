"""Where weights meet values in a segment: which ops apply weights, how deep they lie, where weights were filled.

Read from the recorded ops, so that modules and plain functions are alike. Not here: what follows from it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.debug.graph import leaves_of
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Site
from mlkit.debug.trace import Op, modules_by_name, replay

WEIGHING = frozenset(
    [
        "linear",
        "matmul",
        "__matmul__",
        "__rmatmul__",
        "mm",
        "mv",
        "addmm",
        "bmm",
        "baddbmm",
        "einsum",
        "tensordot",
        "bilinear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "lstm_cell",
        "gru_cell",
        "rnn_tanh_cell",
        "rnn_relu_cell",
        "multi_head_attention_forward",
        "_native_multi_head_attention",
        "_transformer_encoder_layer_fwd",
    ]
)
_DROPOUTS = frozenset(
    [
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "alpha_dropout",
        "feature_alpha_dropout",
        "feature_dropout",
        "dropout_",
    ]
)
_FILLING = frozenset(["__setitem__", "copy_", "fill_", "zero_", "uniform_", "normal_", "trunc_normal_"])


@dataclass(eq=False)
class Layer:
    """One op that applies weights to values.

    Args:
        op: it.
        weight: the largest of its weights.
        weights: all parameters among its inputs, weights computed from parameters traced back to them.
        depth: how many such ops, each with other weights, lie on the longest way to it, itself included.
    """

    op: Op
    weight: Tensor
    weights: list[Tensor]
    depth: int


def layers(ops: Sequence[Op], parameters: Sequence[Tensor]) -> list[Layer]:
    """The ops among ``ops`` that apply weights, in order.

    Args:
        ops: in order.
        parameters: leaves that are weights.
    """
    roots: dict[int, list[Tensor]] = {id(one): [one] for one in parameters}
    depth: dict[int, tuple[int, frozenset[int]]] = {}
    found = []
    for op in ops:
        inputs = op.inputs
        weights = [one for one in inputs if id(one) in roots]
        values = [one for one in inputs if id(one) not in roots]
        if weights and not values:
            if op.name != "embedding" and not op.is_in_place:
                sources = list({id(root): root for one in weights for root in roots[id(one)]}.values())
                for one in op.outputs:
                    roots.setdefault(id(one), sources)
            continue
        level, seen = max(
            (depth.get(id(one), (0, frozenset())) for one in values), key=_level, default=(0, frozenset())
        )
        mine = [root for one in weights for root in roots[id(one)]]
        wide = [one for one in mine if one.dim() >= 2]
        if op.name in WEIGHING and wide:
            weight = max(wide, key=Tensor.numel)
            if id(weight) not in seen:
                level, seen = level + 1, seen | {id(weight)}
            found.append(Layer(op, weight, mine, level))
        for one in op.outputs:
            depth[id(one)] = (level, seen)
    return found


def _level(entry: tuple[int, frozenset[int]]) -> int:
    return entry[0]


def weights_of(scene: Scene) -> list[Tensor]:
    """Parameters of the models that were called, and leaves that the loss has a gradient for."""
    found: dict[int, Tensor] = {id(one): one for _, one in scene.parameters}
    if scene.loss is not None:
        found.update({id(one): one for one in leaves_of(scene.loss) if not _is_given(scene, one)})
    return list(found.values())


def _is_given(scene: Scene, leaf: Tensor) -> bool:
    return not isinstance(leaf, nn.Parameter) and any(leaf is one for call in scene.model_calls for one in _args(call))


def _args(call: Any) -> list[Tensor]:
    return [one for one in (*call.args, *call.kwargs.values()) if isinstance(one, Tensor)]


def is_fresh(scene: Scene) -> bool:
    """Whether no weights of the models that were called came from a file, another model or earlier training."""
    loaded = scene.session.modules.loaded
    return scene.session.step == 0 and not any(id(one) in loaded for one in weights_of(scene))


def names_of(scene: Scene) -> Mapping[int, str]:
    """The id of each parameter -> its name, ``Net.layers.0.weight``."""
    return {id(one): name for name, one in scene.parameters}


def owner_of(scene: Scene, parameter: Tensor) -> nn.Module | None:
    """The module that a parameter belongs to."""
    for call in scene.model_calls:
        for module in call.module.modules():
            if any(one is parameter for one in module.parameters(recurse=False)):
                return module
    return None


def filled_at(scene: Scene, tensor: Tensor) -> Site | None:
    """The last line that wrote all values of a parameter, or made its memory, before the first call of a model."""
    pointer = tensor.untyped_storage().data_ptr() if tensor.numel() else 0
    found: Site | None = None
    stop = min((call.start for call in scene.model_calls), default=len(scene.trace.ops))
    for op in scene.trace.ops[:stop]:
        if not op.is_in_place and found is not None:
            continue
        target = op.args[0] if op.is_in_place and op.args else None
        made = [target] if isinstance(target, Tensor) else op.outputs
        if op.is_in_place and op.name not in _FILLING and not op.name.endswith("_"):
            continue
        for one in made:
            if one is tensor or (one.layout == torch.strided and one.numel() and _pointer(one) == pointer):
                found = op.site or found
    return found


def _pointer(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:  # a tensor without memory of its own
        return -1


def line_of_layer(scene: Scene, op: Op) -> Site | None:
    """The line a person would change: where the layer is built if a container calls it, else where it is called."""
    names = op.modules
    parts = {name: module for call in scene.model_calls for name, module in modules_by_name(call.module)}
    mine = parts.get(names[-1]) if names else None
    if mine is None:
        return op.site
    outer = parts.get(names[-2]) if len(names) > 1 else None
    is_library = outer is not None and type(outer).__module__.startswith("torch.")
    if (outer is None or is_library) and (site := scene.session.modules.made_at(mine)) is not None:
        return site
    return op.site


def tolerant(measure: Callable[[Scene], dict[str, object]]) -> Callable[[Scene], dict[str, object]]:
    """Take a refusal for "does not apply": a model need not accept other values than those of its batch."""

    @functools.wraps(measure)
    def call(scene: Scene) -> dict[str, object]:
        try:
            return measure(scene)
        except (RuntimeError, ValueError, LookupError, TypeError, AssertionError):
            return {}

    return call


def rerunnable(ops: Sequence[Op], weights: Sequence[Tensor]) -> list[Op]:
    """The ops without those that fill ``weights``, and with every dropout handing its input on."""
    filled = {id(one) for one in weights}
    kept = [op for op in ops if not any(id(one) in filled for one in op.outputs)]
    return [replace(op, function=_same) if op.name in _DROPOUTS else op for op in kept]


def _same(value: Tensor, *_: object, **__: object) -> Tensor:
    return value


def nudged(scene: Scene, steps: int, *, size: float = 0.02) -> Iterator[int]:
    """Train this copy on the batch by plain gradient descent, each step ``size`` of the weights' own norm.

    Yields after each step; stops early where the loss cannot be computed again or has no gradient.
    """
    assert scene.loss is not None
    leaves = [one for one in leaves_of(scene.loss) if one.is_floating_point()]
    ops = rerunnable(scene.path, leaves)
    norm = sum(float(one.detach().square().sum()) for one in leaves) ** 0.5
    for step in range(steps):
        torch.manual_seed(0)
        loss = replay(ops, {id(one): one for one in leaves}).get(id(scene.loss))
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            return
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        total = sum(float(one.square().sum()) for one in gradients if one is not None) ** 0.5
        if not 0 < total < float("inf"):
            return
        with torch.no_grad():
            for leaf, gradient in zip(leaves, gradients, strict=True):
                if gradient is not None:
                    leaf.data.add_(gradient, alpha=-size * max(norm, 1.0) / total)
        yield step
