"""Whether a descent step of the loss brings predictions nearer to their targets, or drives them away.

Measured as the gradient by what meets the target, so it does not matter how the loss is written.
Not here: losses whose targets the model itself makes (policies, adversaries), for which there is no wrong direction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlkit.debug.origin import SIGMOID, is_distribution, is_log_distribution, maker
from mlkit.debug.probes import Measurement, own_targets
from mlkit.debug.scene import Head, Scene
from mlkit.debug.sites import Site

PICKING = ("gather", "__getitem__", "take_along_dim", "take")
_DISTANCES = ("sub", "__sub__", "__rsub__", "rsub", "subtract", "dist", "pairwise_distance", "cosine_similarity")
_PRODUCTS = ("mul", "__mul__", "__rmul__", "div", "__truediv__")
_COMPLEMENTS = ("rsub", "__rsub__", "logical_not", "bitwise_not", "__invert__", "sub", "__sub__", "neg", "__neg__")
_MOST = 0.95


def measure(scene: Scene) -> Measurement:
    """``verdicts`` of the heads: 1 towards the target, -1 away from it; and the line where the sign is decided."""
    loss = scene.loss
    if loss is None or loss.numel() != 1 or not scene.heads or _is_game(scene):
        return {}
    verdicts: list[int] = []
    wrong: Head | None = None
    for head in [*scene.heads, *picking_heads(scene)]:
        verdict = _verdict(scene, head)
        if verdict:
            verdicts.append(verdict)
        if verdict < 0:
            wrong = wrong or head
    if not verdicts:
        return {}
    found: Measurement = {"verdicts": verdicts, "loss": float(loss.detach())}
    if wrong is not None:
        found |= {"head": wrong.name, "is_known": wrong.is_known, "site": _line(scene, wrong), "rows": scene.batch_size}
    return found


def picking_heads(scene: Scene) -> list[Head]:
    """Places where labels pick entries of a (log-)distribution that are no heads of the scene."""
    known = {head.op.index for head in scene.heads}
    first = min(known, default=0)
    found = []
    for op in scene.path:
        if op.name not in PICKING or op.index < first or op.index in known or op.error is not None:
            continue
        wide = next((one for one in op.inputs if one.requires_grad and one.dim() >= 2), None)
        labels = next((one for one in reversed(op.inputs) if one.dtype == torch.int64 and one.dim() >= 1), None)
        if wide is not None and labels is not None:
            found.append(Head(op.name, False, wide, labels, wide, op, op.site))
    return found[:4]


def _is_game(scene: Scene) -> bool:
    """Whether the loss may well be meant to rise: inputs are trained, actions are sampled, two optimisers compete."""
    known = {id(one) for _, one in scene.parameters}
    if scene.call is not None and any(one.requires_grad for one in scene.inputs):
        every = [*scene.inputs, *(one for op in scene.trace.behind(scene.inputs) for one in op.inputs)]
        behind = [one for one in every if one.requires_grad and one.is_leaf]
        if any(id(one) not in known and not isinstance(one, nn.Parameter) for one in behind):
            return True
    if len(scene.session.optimizers.live()) > 1:
        return True
    told = own_targets.measure(scene)
    return bool(told.get("samples") or told.get("weighs") or told.get("moving"))


def _verdict(scene: Scene, head: Head) -> int:
    target = head.target
    if target is None or target.numel() < 4 or bool((target == target.flatten()[0]).all()):
        return 0
    if head.is_known:
        return _of_known(scene, head)
    if head.kind == "classes" and head.name in PICKING:
        return _of_picked(scene, head)
    if head.name in _PRODUCTS and target.shape == head.prediction.shape and _is_one_hot(target):
        return _of_one_hot(scene, head)
    if head.name in _DISTANCES and target.is_floating_point() and _fits(target, head.prediction):
        return _of_distance(scene, head)
    if head.kind == "binary":
        return _of_binary(scene, head)
    return 0


def _fits(target: Tensor, prediction: Tensor) -> bool:
    """Whether a target has the prediction's shape, or one value for several predictions (components of a mixture)."""
    return target.dim() == prediction.dim() and all(
        one in (1, other) for one, other in zip(target.shape, prediction.shape, strict=True)
    )


def _is_one_hot(target: Tensor) -> bool:
    is_binary = bool(((target == 0) | (target == 1)).all())
    return target.dim() == 2 and target.shape[1] > 1 and is_binary and bool((target.sum(1) == 1).all())


def _slope(scene: Scene, tensor: Tensor) -> Tensor | None:
    assert scene.loss is not None
    if not tensor.requires_grad:
        return None
    (found,) = torch.autograd.grad(scene.loss, [tensor], retain_graph=True, allow_unused=True)
    return found if found is not None and bool(found.isfinite().all()) else None


def _is_even(values: Tensor) -> bool:
    used = values[values != 0].abs()
    return used.numel() > 0 and (used.numel() == 1 or float(used.max() - used.min()) <= 1e-3 * float(used.max()))


def _of_known(scene: Scene, head: Head) -> int:
    slope = _slope(scene, head.op.outputs[0]) if head.op.outputs else None
    if slope is None or not bool((slope != 0).any()):
        return 0
    if bool((slope >= 0).all()):
        return 1
    return -1 if bool((slope <= 0).all()) and _is_even(slope) else 0


def _of_picked(scene: Scene, head: Head) -> int:
    picked = next((one for one in head.op.outputs if one.requires_grad), None)
    slope = _slope(scene, picked) if picked is not None else None
    if slope is None or slope.numel() < 4 or not bool((slope != 0).any()):
        return 0
    if bool((slope <= 0).all()):
        return 1
    prediction = head.prediction
    is_likelihood = is_log_distribution(prediction, -1) or is_distribution(prediction, -1)
    return -1 if is_likelihood and bool((slope >= 0).all()) and _is_even(slope) else 0


def _of_one_hot(scene: Scene, head: Head) -> int:
    prediction, target = head.prediction, head.target
    slope = _slope(scene, prediction)
    if slope is None or target is None:
        return 0
    if not is_log_distribution(prediction, 1) and not is_distribution(prediction, 1):
        return 0
    at_label = slope[target > 0.5]
    if not bool((at_label != 0).any()):
        return 0
    if bool((at_label <= 0).all()):
        return 1
    return -1 if bool((at_label >= 0).all()) and _is_even(at_label) else 0


def _of_distance(scene: Scene, head: Head) -> int:
    prediction, target = head.prediction, head.target
    slope = _slope(scene, prediction)
    if slope is None or target is None:
        return 0
    towards = (
        (slope * (prediction.detach() - target)).flatten(1).sum(1)
        if target.dim() > 1
        else slope * (prediction.detach() - target)
    )
    used = towards[towards != 0]
    if used.numel() < 4:
        return 0
    if float((used > 0).float().mean()) >= 0.9:
        return 1
    return -1 if float((used < 0).float().mean()) >= 0.99 and not _is_weighted(scene, head) else 0


def _of_binary(scene: Scene, head: Head) -> int:
    """Zeros and ones against a probability: its gradient must be negative at ones, positive at zeros."""
    target = head.target
    assert target is not None
    made_target = scene.trace.producers().get(id(target))
    if (
        made_target is not None and made_target.name in _COMPLEMENTS
    ):  # (1 - y) log(1 - p), the other half of the same loss
        return 0
    output = head.output if head.output.numel() == target.numel() and head.output.requires_grad else head.prediction
    if output.numel() != target.numel():
        return 0
    made = maker(scene, output)
    names = {op.name for op in scene.path if op.index < head.op.index and any(one is output for one in op.inputs)}
    if not (made is not None and made.name in SIGMOID) and not names & {*SIGMOID, "logsigmoid", "softplus"}:
        return 0
    slope = _slope(scene, output)
    if slope is None:
        return 0
    slope, ones = slope.flatten(), target.flatten() > 0.5
    at_ones, at_zeros = slope[ones], slope[~ones]
    if at_ones.numel() < 2 or at_zeros.numel() < 2:
        return 0
    if float((at_ones < 0).float().mean()) >= _MOST and float((at_zeros >= 0).float().mean()) >= _MOST:
        return 1
    wrong = float((at_ones > 0).float().mean()) >= _MOST and float((at_zeros < 0).float().mean()) >= _MOST
    return -1 if wrong else 0


def _is_weighted(scene: Scene, head: Head) -> bool:
    """Whether constants other than zeros and ones weigh the samples after the head."""
    for op in scene.path:
        if op.index <= head.op.index or op.name not in _PRODUCTS:
            continue
        for one in op.inputs:
            if one.requires_grad or one.numel() < 2 or bool((one == one.flatten()[0]).all()):
                continue
            if not bool(((one == 0) | (one == 1)).all()):
                return True
    return False


def _line(scene: Scene, head: Head) -> Site | None:
    """The line of the sign: where a loss was negated, else where the loss was put together last."""
    after = [op for op in scene.path if op.index > head.op.index]
    negations = [op for op in after if op.name in ("neg", "__neg__", "negative")]
    if head.is_known and negations:
        return negations[-1].site
    if head.is_known:
        wanted = ("sub", "__sub__", "__rsub__", "rsub", "mul", "__mul__", "__rmul__")
        joined = [op for op in after if op.name in wanted]
        if joined:
            return joined[-1].site
    return after[-1].site if after else head.site
