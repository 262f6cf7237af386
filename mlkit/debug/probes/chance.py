"""What the best constant prediction would score on this batch, in the loss's own unit; scales of target and prediction.

Found by replaying the loss with a constant in place of every prediction, however the loss is written.
Not here: what follows from it (`loss.starts-far-from-chance`, `loss.target-scale`, the height of a plateau).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlkit.debug.probes import Measurement, probe
from mlkit.debug.scene import Head, Scene
from mlkit.debug.terms import penalty_of

ELEMENTS_LIMIT = 4_000_000
_LIKELIHOOD = ("cross_entropy", "linear_cross_entropy", "__getitem__", "gather", "getitem")


@probe("chance")
def measure(scene: Scene) -> Measurement:
    """``chance``: the loss of a constant prediction; ``first``: the loss; moments of target and prediction."""
    if scene.loss is None or scene.loss.numel() != 1:
        return {}
    head = scene.head
    if head is None or head.target is None or head.target.numel() > ELEMENTS_LIMIT:
        return {}
    found: Measurement = {
        "first": float(scene.loss.detach()),
        "kind": head.kind,
        "head": head.name,
        "site": head.site,
        "rows": int(head.target.shape[0]) if head.target.dim() else 1,
        "classes": _classes(head),
        "target": _moments(head.target),
        "prediction": _moments(head.prediction.detach()),
        "is_bounded": _is_bounded(head.prediction.detach()),
    }
    with torch.no_grad():
        value = _chance(scene)
    if value is not None:
        found["chance"] = value
    return found


def _chance(scene: Scene) -> float | None:
    assert scene.loss is not None
    constants: dict[int, Tensor] = {}
    correction = 0.0
    for head in scene.heads:
        if head.target is None:
            continue
        constant = _constant(head) if _is_telling(head) else None
        if constant is None or len({head.kind, scene.heads[0].kind}) > 1:
            return None
        constants[id(head.prediction)] = constant
        correction = max(correction, _small_sample(head))
    if not constants:
        return None
    try:
        value = float(scene.loss_of(constants))
    except (LookupError, RuntimeError, ValueError, TypeError, IndexError):
        return None
    if not math.isfinite(value):
        return None
    penalty = penalty_of(scene)
    rest = float(penalty.value) if penalty is not None else 0.0
    return (value - rest) * (1 + correction)


def _is_telling(head: Head) -> bool:
    """Whether the batch is large and mixed enough to stand for the data; one of a single class tells nothing."""
    target = head.target
    assert target is not None
    if head.kind == "classes":
        counts = torch.unique(target, return_counts=True)[1].sort(descending=True).values
        return target.numel() >= 16 and len(counts) >= 2 and int(counts[1]) >= 2
    if head.kind in ("binary", "one-hot"):
        ones = float(target.float().sum())
        return target.numel() >= 16 and min(ones, target.numel() - ones) >= 3
    return (target.shape[0] if target.dim() else 1) >= 8


def _constant(head: Head) -> Tensor | None:
    """The same row for every sample, of the prediction's shape: what the targets alone tell."""
    target, prediction = head.target, head.prediction.detach()
    assert target is not None
    if not prediction.is_floating_point():
        return None
    if head.kind == "classes":
        axis = _class_axis(head)
        shares = _shares(target, prediction.shape[axis]) if axis is not None else None
        if axis is None or shares is None:
            return None
        wide = [1] * prediction.dim()
        wide[axis] = len(shares)
        row = shares if _is_probabilities(prediction, axis) else shares.clamp_min(1e-6).log()
        return row.to(prediction.dtype).reshape(wide).expand_as(prediction).clone()
    if target.shape != prediction.shape:
        return None
    values = target.to(prediction.dtype)
    if head.name == "binary_cross_entropy_with_logits":
        mean = values.mean(0, keepdim=True) if values.dim() > 1 and values[0].numel() < 64 else values.mean()
        return torch.logit(mean.clamp(1e-3, 1 - 1e-3)).expand_as(prediction).clone()
    if head.name == "cross_entropy":
        return values.mean(0, keepdim=True).clamp_min(1e-6).log().expand_as(prediction).clone()
    if head.name in ("l1_loss", "smooth_l1_loss"):
        return values.median(0, keepdim=True).values.expand_as(prediction).clone()
    if head.name == "binary_cross_entropy":
        return values.mean().clamp(1e-3, 1 - 1e-3).expand_as(prediction).clone()
    if head.kind in ("real", "binary", "one-hot") and head.name in _DIFFERENCES:
        return values.mean(0, keepdim=True).expand_as(prediction).clone()
    return None


_DIFFERENCES = ("mse_loss", "huber_loss", "sub", "__sub__", "__rsub__", "rsub", "subtract", "dist", "pairwise_distance")


def _small_sample(head: Head) -> float:
    """Fitted to n rows, a constant scores too well by about one part in n (for classes: (C-1)/2n of ln C)."""
    assert head.target is not None
    rows = head.target.shape[0] if head.target.dim() else 1
    if head.kind == "classes":
        classes = _classes(head) or 2
        return (classes - 1) / (2 * max(1, head.target.numel()) * math.log(max(2, classes)))
    return 1 / max(1, rows - 1)


def _classes(head: Head) -> int | None:
    axis = _class_axis(head)
    return int(head.prediction.shape[axis]) if axis is not None else None


def _class_axis(head: Head) -> int | None:
    """The axis of the prediction that the target indexes, or None."""
    target, prediction = head.target, head.prediction
    if (
        target is None
        or head.kind != "classes"
        or head.name not in (*_LIKELIHOOD, "nll_loss", "nll_loss_nd", "nll_loss2d")
    ):
        return None
    if prediction.dim() < 2 or target.dim() == 0:
        return None
    if head.is_known:
        return 1
    return prediction.dim() - 1


def _shares(target: Tensor, classes: int) -> Tensor | None:
    known = target[(target >= 0) & (target < classes)]
    if known.numel() == 0:
        return None
    return torch.bincount(known.flatten(), minlength=classes).float() / known.numel()


def _is_probabilities(value: Tensor, axis: int) -> bool:
    return bool((value >= 0).all()) and bool(((value.sum(axis) - 1).abs() < 1e-3).all())


def _is_bounded(value: Tensor) -> bool:
    return value.numel() > 0 and value.is_floating_point() and bool(((value >= 0) & (value <= 1)).all())


def _moments(value: Tensor) -> dict[str, float]:
    values = value.detach().double().flatten()
    values = values[values.isfinite()]
    if values.numel() == 0:
        return {}
    return {
        "mean": float(values.mean()),
        "std": float(values.std(unbiased=False)),
        "rms": float(values.square().mean().sqrt()),
        "count": float(values.numel()),
    }
