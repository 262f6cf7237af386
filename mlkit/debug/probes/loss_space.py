"""In which space a loss gets its predictions: scores, probabilities or their logarithms, whoever made them.

A loss that applies a softmax or sigmoid itself must get scores; one that takes logarithms for granted must get them.
Not here: the judgement (rules of the `loss` family), and the domain of the targets (`target_reach`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.debug.origin import (
    SIGMOID,
    SOFTMAX,
    axis_of,
    is_distribution,
    is_log_distribution,
    is_sigmoid_of,
    line_of_cause,
    maker,
)
from mlkit.debug.probes import Measurement
from mlkit.debug.probes.loss_direction import PICKING, picking_heads
from mlkit.debug.scene import Head, Scene
from mlkit.debug.trace import Op

Found = dict[str, object]

_NEGATING = frozenset(["neg", "__neg__", "negative", "clamp", "clip", "clamp_min", "clamp_max"])
_LOGARITHMS = (
    "log",
    "log_",
    "log2",
    "log10",
    "log1p",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "log_prob",
    "logaddexp",
)


def measure(scene: Scene) -> Measurement:
    """Lists of what was met, by what it is: see the rules that read them."""
    if scene.loss is None:
        return {}
    found: dict[str, list[Found]] = {}
    for op in scene.path:
        if op.error is not None:
            continue
        if op.name in ("cross_entropy", "log_softmax", "logsumexp", "softmax"):
            _normaliser(scene, op, found)
        elif op.name in (
            "binary_cross_entropy_with_logits",
            "logsigmoid",
            "sigmoid",
            "softplus",
            "soft_margin_loss",
            "multilabel_soft_margin_loss",
        ):
            _squasher(scene, op, found)
        elif op.name in ("nll_loss", "nll_loss_nd", "nll_loss2d"):
            _likelihood(scene, op, found)
        elif op.name == "kl_div":
            _divergence(scene, op, found)
    for head in scene.heads:
        _single(scene, head, found)
    for head in [*(one for one in scene.heads if not one.is_known), *picking_heads(scene)]:
        _picked(scene, head, found)
    return {name: entries[:4] for name, entries in found.items()}


def _note(found: dict[str, list[Found]], kind: str, scene: Scene, op: Op, cause: Op | None, **more: object) -> None:
    site = line_of_cause(scene, cause, op) if cause is not None else None
    found.setdefault(kind, []).append({"loss": op.name, "site": site or op.site, "loss_site": op.site, **more})


def _within_model(scene: Scene, op: Op) -> bool:
    """Whether an op is of a model's own computing, before any prediction met its target."""
    first = min((head.op.index for head in scene.heads), default=len(scene.trace.ops))
    return op.index < first and any(call.start <= op.index < call.stop for call in scene.model_calls)


def _first(op: Op) -> Tensor | None:
    given = op.argument(0, "input")
    return given if isinstance(given, Tensor) and given.requires_grad and given.is_floating_point() else None


def _numbers(values: Tensor) -> Found:
    values = values.detach().float()
    return {"lowest": float(values.min()), "highest": float(values.max()), "shape": str(tuple(values.shape))}


def _normaliser(scene: Scene, op: Op, found: dict[str, list[Found]]) -> None:
    given = _first(op)
    if given is None or given.dim() == 0 or given.numel() == 0:
        return
    axis = (1 if given.dim() > 1 else 0) if op.name == "cross_entropy" else axis_of(op)
    if axis is None:
        return
    made = maker(scene, given)
    size = given.shape[axis]
    if size == 1:
        if op.name == "cross_entropy":
            _note(found, "single", scene, op, None, name=op.name, **_numbers(given))
        return
    is_softmax = made is not None and made.name in SOFTMAX
    if op.name in ("softmax", "log_softmax") and not is_softmax and _within_model(scene, op):
        return
    if op.name == "softmax" and (_within_model(scene, op) or not is_softmax):
        return
    if is_distribution(given, axis):
        rows = given.detach().float().movedim(axis, -1).reshape(-1, size)
        varies = len(rows) > 1 and bool((rows - rows[0]).abs().max() > 1e-6)
        if is_softmax or (varies and op.name == "cross_entropy"):
            _note(
                found, "probabilities", scene, op, made, made=made.name if made else "", classes=size, **_numbers(given)
            )
    elif op.name == "cross_entropy" and made is not None and made.name in SIGMOID:
        _note(found, "squashed", scene, op, made, made=made.name, classes=size, **_numbers(given))


def _squasher(scene: Scene, op: Op, found: dict[str, list[Found]]) -> None:
    given = _first(op)
    if given is None or given.numel() == 0:
        return
    if op.name in ("sigmoid", "softplus", "logsigmoid") and _within_model(scene, op):
        return
    through = (
        _NEGATING if op.name in ("softplus", "logsigmoid") else frozenset(["clamp", "clip", "clamp_min", "clamp_max"])
    )
    made = maker(scene, given, through=through)
    if made is None:
        return
    is_probability = made.name in SIGMOID or made.name in SOFTMAX
    if not is_probability and op.name == "binary_cross_entropy_with_logits":
        is_probability = is_sigmoid_of(scene, given) is not None
    if is_probability:
        _note(found, "sigmoids", scene, op, made, made=made.name, **_numbers(given))


def _likelihood(scene: Scene, op: Op, found: dict[str, list[Found]]) -> None:
    given = _first(op)
    if given is None or given.dim() == 0 or given.numel() == 0:
        return
    axis = 1 if given.dim() > 1 else 0
    made = maker(scene, given)
    if is_distribution(given, axis):
        _note(found, "nll", scene, op, made, space="probabilities", **_numbers(given))
        return
    values = given.detach().float()
    positive = float((values > 1e-3).float().mean())
    if positive > 0.02 and not _has_logarithm(scene, given):
        space = "sigmoids" if made is not None and made.name in SIGMOID else "scores"
        _note(
            found,
            "nll",
            scene,
            op,
            made if space == "sigmoids" else None,
            space=space,
            positive=positive,
            **_numbers(given),
        )


def _has_logarithm(scene: Scene, tensor: Tensor) -> bool:
    """Whether logarithms were taken outside modules, or as the last thing within one."""
    return any(op.name in _LOGARITHMS for op in scene.trace.behind([tensor])[-12:])


def _divergence(scene: Scene, op: Op, found: dict[str, list[Found]]) -> None:
    given, target = op.argument(0, "input"), op.argument(1, "target")
    if not isinstance(given, Tensor) or not isinstance(target, Tensor) or given.dim() == 0 or given.numel() < 2:
        return
    if not given.is_floating_point() or not target.is_floating_point():
        return
    is_log = bool(op.kwargs.get("log_target", op.args[5] if len(op.args) > 5 else False))
    numbers = _numbers(given)
    values = given.detach().float()
    axes = [axis for axis in range(-1, -target.dim() - 1, -1) if target.shape[axis] > 1]
    space: str | None = None
    cause: Op | None = None
    if any(is_distribution(given, axis) for axis in range(given.dim())):
        space, cause = "probabilities as the first argument", maker(scene, given)
    elif bool((values > 1e-2).any()) and not any(is_log_distribution(given, axis) for axis in range(given.dim())):
        space = "scores as the first argument"
    elif is_log and any(is_distribution(target, axis) for axis in axes):
        space, cause = "probabilities as the target, though log_target=True", maker(scene, target)
    elif not is_log and any(is_log_distribution(target, axis) for axis in axes):
        space, cause = "log-probabilities as the target", maker(scene, target)
    elif not is_log and bool((target.detach() < -1e-4).any()):
        space, cause = "negative numbers as the target", None
    if space is not None:
        _note(found, "kl", scene, op, cause, space=space, **numbers)
        return
    if target.requires_grad and not given.requires_grad:
        _note(found, "kl_order", scene, op, None, **numbers)
    # nn.functional's own default; the module passes its own.
    reduction = op.argument(4, "reduction", "mean")
    if reduction == "mean" and given.dim() > 1:
        _note(found, "kl_mean", scene, op, None, factor=given.numel() / given.shape[0], **numbers)


def _single(scene: Scene, head: Head, found: dict[str, list[Found]]) -> None:
    """A prediction that is a softmax over one unit."""
    made = maker(scene, head.prediction)
    if made is None or made.name not in (*SOFTMAX, "log_softmax") or not made.outputs:
        return
    axis, output = axis_of(made, 2 if made.name == "gumbel_softmax" else 1), made.outputs[0]
    batch = scene.batch_size or 0
    if axis is None or output.dim() == 0 or output.shape[axis] != 1 or output.numel() < 2:
        return
    if axis == 0 and batch <= 1:
        return
    _note(found, "single", scene, head.op, made, name=made.name, **_numbers(output))


def _picked(scene: Scene, head: Head, found: dict[str, list[Found]]) -> None:
    """A hand-written likelihood without a logarithm: minus the mean of the predictions of the labels' classes."""
    if head.kind != "classes" or head.name not in PICKING or scene.loss is None:
        return
    picked = next((one for one in head.op.outputs if one.requires_grad), None)
    prediction = head.prediction
    if picked is None or prediction.dim() < 2 or picked.numel() < 4 or scene.loss.numel() != 1:
        return
    if not is_distribution(prediction, -1) and not (
        bool((prediction.detach() > 0.05).any()) and not _has_logarithm(scene, prediction)
    ):
        return
    slope: Tensor | None = torch.autograd.grad(scene.loss, [picked], retain_graph=True, allow_unused=True)[0]
    if slope is None:
        return
    used = slope[slope != 0]
    if used.numel() != slope.numel() or float(used.std()) > 1e-3 * float(used.abs().mean()) or bool((used > 0).any()):
        return
    if abs(float(scene.loss.detach()) - float((slope * picked.detach()).sum())) > 1e-4 * (
        1 + abs(float(scene.loss.detach()))
    ):
        return
    space = "probabilities" if is_distribution(prediction, -1) else "scores"
    _note(found, "picked", scene, head.op, maker(scene, prediction), space=space, **_numbers(prediction))
