"""Whether the targets lie in the domain of the loss, and within what the model's last activation can give.

Not here: the space of the predictions (`loss_space`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlkit.debug.origin import SIGMOID, SOFTMAX, line_of, maker
from mlkit.debug.probes import Measurement
from mlkit.debug.scene import Head, Scene
from mlkit.debug.trace import Op, replay

# Activations with the least and the greatest value that they can give.
_BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(
        ("relu", "relu_", "softplus", "exp", "exp_", "square", "abs", "__abs__", "relu_", "threshold"), (0.0, math.inf)
    ),
    **dict.fromkeys((*SIGMOID, *SOFTMAX, "hardsigmoid"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "tanh_", "softsign", "hardtanh", "hardtanh_", "sin", "cos"), (-1.0, 1.0)),
    **dict.fromkeys(("log_softmax", "logsigmoid"), (-math.inf, 0.0)),
    **dict.fromkeys(("elu", "selu"), (-1.76, math.inf)),
    "relu6": (0.0, 6.0),
    "gelu": (-0.17, math.inf),
    "silu": (-0.279, math.inf),
}
_AFFINE = frozenset(
    [
        "mul",
        "__mul__",
        "__rmul__",
        "add",
        "__add__",
        "__radd__",
        "sub",
        "__sub__",
        "__rsub__",
        "rsub",
        "div",
        "__truediv__",
        "neg",
        "__neg__",
    ]
)
_DISTANCES = (
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "sub",
    "__sub__",
    "__rsub__",
    "rsub",
    "subtract",
    "dist",
    "pairwise_distance",
)


def measure(scene: Scene) -> Measurement:
    """``domain``: targets that the loss does not allow; ``reach``: targets that the activation cannot give."""
    domain: list[dict[str, object]] = []
    reach: list[dict[str, object]] = []
    for head in scene.heads:
        target = head.target
        if target is None or target.numel() == 0 or target.is_complex() or head.op.error is not None:
            continue
        values = target.detach().double()
        values = values[values.isfinite()]
        if values.numel() == 0:
            continue
        wanted = _domain(head, values)
        if wanted is not None:
            domain.append({"loss": head.name, "site": head.site, "wanted": wanted, **_numbers(values)})
            continue
        found = _reach(scene, head, values)
        if found is not None:
            reach.append({"loss": head.name, **found, **_numbers(values)})
    if not domain and (written := _written_binary(scene)) is not None:
        domain.append(written)
    return {name: list_ for name, list_ in (("domain", domain[:4]), ("reach", reach[:4])) if list_}


def _numbers(values: Tensor) -> dict[str, object]:
    return {"lowest": float(values.min()), "highest": float(values.max())}


def _domain(head: Head, values: Tensor) -> str | None:
    """What the loss wants of its targets, where some are not; None where all is well."""
    low, high = float(values.min()), float(values.max())
    name = head.name
    if name.startswith("binary_cross_entropy") or name == "multilabel_soft_margin_loss":
        return "numbers from 0 to 1" if low < -1e-4 or high > 1 + 1e-4 else None
    if name in ("hinge_embedding_loss", "soft_margin_loss"):
        return "-1 and 1" if not bool((values.abs() == 1).all()) else None
    if name == "poisson_nll_loss":
        return "counts, not below 0" if low < -1e-4 else None
    if name == "cross_entropy" and head.target is not None and head.target.is_floating_point():
        target = head.target.detach().double()
        axis = 1 if target.dim() > 1 else 0
        if target.shape != head.prediction.shape:
            return None
        if low < -1e-4:
            return "shares of the classes, not below 0"
        sums = target.sum(axis)
        if bool((sums > 1.02).any()):
            return "shares of the classes that sum to 1"
    return None


def _reach(scene: Scene, head: Head, values: Tensor) -> dict[str, object] | None:
    assert head.target is not None
    if head.name == "binary_cross_entropy_with_logits":
        return _logits(scene, head, values)
    if head.name not in _DISTANCES or head.target.requires_grad or not head.target.is_floating_point():
        return None
    if not head.is_known and (
        head.kind not in ("real", "binary", "one-hot") or head.prediction.numel() != head.target.numel()
    ):
        return None
    found = _bounds(scene, head.prediction)
    if found is None:
        return None
    op, low, high = found
    spread = float(values.std(unbiased=False)) if values.numel() > 1 else 0.0
    slack = 0.02 * spread + 1e-6
    outside = (values < low - slack) | (values > high + slack)
    share = float(outside.double().mean())
    nearest = values.clamp(low, high)
    error = float((values - nearest).square().mean())
    variance = spread**2
    if share < 0.01:
        return None
    return {
        "activation": op.name,
        "site": line_of(scene, op),
        "loss_site": head.site,
        "low": low,
        "high": high,
        "share": share,
        "lost": error / variance if variance > 0 else math.inf,
    }


def _logits(scene: Scene, head: Head, values: Tensor) -> dict[str, object] | None:
    """Logits that an activation bounds: those below 0 are what a negative needs, those far from 0 what either does."""
    found = _bounds(scene, head.prediction)
    if found is None or found[0].name in (*SIGMOID, *SOFTMAX):  # that is loss.sigmoid-before-bce-with-logits
        return None
    op, low, high = found
    negatives, positives = float((values < 0.5).double().mean()), float((values > 0.5).double().mean())
    share = negatives * (low > -1.5) + positives * (high < 1.5)
    if share < 0.01 or op.name in ("gelu", "silu", "elu", "selu") or "clamp" in op.name:
        return None
    return {
        "activation": op.name,
        "site": line_of(scene, op),
        "loss_site": head.site,
        "low": low,
        "high": high,
        "share": share,
        "lost": 1.0 if low > -0.1 or high < 0.1 else 0.05,
    }


def _bounds(scene: Scene, prediction: Tensor) -> tuple[Op, float, float] | None:
    """The last activation behind a prediction, with the range of the prediction that it allows."""
    current, chain = prediction, list[Op]()
    for _ in range(6):
        op = maker(scene, current, through=frozenset())
        if op is None:
            return None
        bounds = _limits(op)
        if bounds is not None:
            return _through(scene, op, bounds, prediction) if chain else (op, *bounds)
        parts = [one for one in op.inputs if one.requires_grad]
        plain = [one for one in op.inputs if not one.requires_grad and one.numel() > 1]
        if op.name not in _AFFINE or len(parts) != 1 or plain or isinstance(parts[0], torch.nn.Parameter):
            return None
        chain.append(op)
        current = parts[0]
    return None


def _limits(op: Op) -> tuple[float, float] | None:
    if op.name in ("clamp", "clip", "clamp_min", "clamp_max", "clamp_", "hardtanh"):
        low = op.argument(1, "min_val" if op.name == "hardtanh" else "min")
        high = op.argument(1 if op.name == "clamp_max" else 2, "max_val" if op.name == "hardtanh" else "max")
        if op.name == "clamp_max":
            low = None
        if op.name == "hardtanh":
            low, high = (-1.0 if low is None else low), (1.0 if high is None else high)
        numbers = [None if isinstance(one, Tensor) else one for one in (low, high)]
        low, high = numbers
        return (
            float(low) if isinstance(low, (int, float)) else -math.inf,
            float(high) if isinstance(high, (int, float)) else math.inf,
        )
    if op.name in ("pow", "__pow__") and op.argument(1, "exponent") in (2, 4):
        return (0.0, math.inf)
    if op.name == "elu":
        alpha = op.argument(1, "alpha", 1.0)
        return (-float(alpha), math.inf) if isinstance(alpha, (int, float)) else None
    return _BOUNDS.get(op.name)


def _through(scene: Scene, op: Op, bounds: tuple[float, float], prediction: Tensor) -> tuple[Op, float, float] | None:
    """The range of the prediction: the ops after the activation, replayed with its extremes."""
    output = op.outputs[0]
    ops = [one for one in scene.trace.behind([prediction], stop=[output]) if one.index > op.index]
    ends = []
    with torch.no_grad():
        for value in bounds:
            known = replay(ops, {id(output): torch.full_like(output.detach(), value)}).get(id(prediction))
            if not isinstance(known, Tensor):
                return None
            ends += [float(known.min()), float(known.max())]
    if any(math.isnan(one) for one in ends):
        return None
    return op, min(ends), max(ends)


def _written_binary(scene: Scene) -> dict[str, object] | None:
    """A hand-written binary cross-entropy, y log p + (1 - y) log(1 - p), with y outside [0, 1]."""
    heads = [
        head
        for head in scene.heads
        if head.name in ("mul", "__mul__", "__rmul__")
        and head.target is not None
        and head.target.is_floating_point()
        and head.target.numel() == head.prediction.numel()
        and bool((head.prediction.detach() <= 1e-4).all())
    ]
    for one in heads:
        for other in heads:
            if other is one or one.target is None or other.target is None or one.target.shape != other.target.shape:
                continue
            if torch.allclose(one.target + other.target, torch.ones_like(one.target)) and bool(
                (one.target > 1.001).any()
            ):
                values = one.target.detach().double()
                return {
                    "loss": "binary cross-entropy",
                    "site": one.site,
                    "wanted": "numbers from 0 to 1",
                    **_numbers(values),
                }
    return None
