"""How well a batch is predicted, by a measure that does not trust the program's own loss.

Not here: what a loss curve looks like (`mlkit.debug.overfit.verdict`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mlkit.engine.nonfinite import tensors_in
from mlkit.metrics.classes import IGNORED

Kind = Literal["classes", "yes or no", "numbers"]
MEASURE: dict[Kind, str] = {"classes": "accuracy", "yes or no": "accuracy", "numbers": "R²"}
FITTED = 0.95
"""A batch counts as fitted from this share of the way between the best constant answer and a perfect one."""


@dataclass(frozen=True)
class Yardstick:
    """The measure for one batch.

    Args:
        kind: ``"classes"`` (accuracy of the largest output), ``"yes or no"`` (accuracy of the sign, or of what is above
            one half where all outputs lie between 0 and 1), ``"numbers"`` (R² over all targets).
        constant: the score of the best constant answer: the share of the most frequent class; 0 for R².
        classes: how many outputs a choice is made among; 0 for numbers.
        shares: how often each class that occurs does, the most frequent first; of ``"yes or no"``, 0 and then 1.
    """

    kind: Kind
    constant: float
    classes: int
    shares: tuple[float, ...]
    _right: Callable[[Tensor, Tensor], float]

    def score(self, output: object, targets: Tensor) -> float:
        """Accuracy or R² of an output for the targets of the batch; NaN where the output is not finite."""
        tensor = matching(output, targets)
        if tensor is None or not bool(torch.isfinite(tensor).all()):
            return float("nan")
        return self._right(tensor.detach().float(), targets)

    def share(self, score: float) -> float:
        """The way from the best constant answer (0) to a perfect one (1); below 0 for worse than constant."""
        return (score - self.constant) / max(1 - self.constant, 1e-9)

    @property
    def measure(self) -> str:
        """What `score` is called."""
        return MEASURE[self.kind]


def matching(output: object, targets: Tensor) -> Tensor | None:
    """The first tensor of an output that can be predictions of ``targets``: as many examples, floating."""
    for tensor in tensors_in(output):
        if tensor.is_floating_point() and tensor.ndim and len(tensor) == len(targets):
            return tensor
    return None


def yardstick_for(output: object, targets: Tensor) -> Yardstick | None:
    """The measure that fits an output and its targets; None where none does (an autoencoder's pair of losses, say).

    Args:
        output: of the model, for the batch.
        targets: class indices ``(B,)`` or ``(B, T)``; 0 and 1, with one output each; one-hot or soft labels ``(B, C)``;
            or numbers.

    >>> stick = yardstick_for(torch.zeros(4, 3), torch.tensor([0, 1, 1, 2]))
    >>> stick.kind, stick.constant, stick.score(torch.eye(3)[[0, 1, 1, 2]], torch.tensor([0, 1, 1, 2]))
    ('classes', 0.5, 1.0)
    """
    tensor = matching(output, targets)
    if tensor is None or not targets.numel():
        return None
    axis = _class_axis(tensor, targets)
    if axis is not None:
        labels = targets.long() if tensor.ndim == targets.ndim + 1 else targets.argmax(axis)
        labels = labels.reshape(-1)
        counts = torch.bincount(labels[labels != IGNORED].clamp_min(0)).float()
        shares = tuple(sorted((counts[counts > 0] / counts.sum()).tolist(), reverse=True))
        return Yardstick("classes", shares[0] if shares else 1.0, tensor.shape[axis], shares, _classes(axis))
    if tensor.numel() != targets.numel():
        return None
    values = targets.float()
    if bool(((values == 0) | (values == 1)).all()):
        ones = values.reshape(len(values), -1).mean(0)
        constant = float(torch.maximum(ones, 1 - ones).mean())
        shares = (float(1 - values.mean()), float(values.mean()))
        return Yardstick("yes or no", constant, 2, shares, _yes_or_no)
    return Yardstick("numbers", 0.0, 0, (), _numbers)


def _class_axis(output: Tensor, targets: Tensor) -> int | None:
    """The axis of an output along which classes lie; None where it has none."""
    if not targets.is_floating_point() and output.ndim == targets.ndim + 1:
        if output.shape[:-1] == targets.shape and output.shape[-1] > 1:
            return output.ndim - 1
        if output.ndim > 2 and (output.shape[0], *output.shape[2:]) == tuple(targets.shape) and output.shape[1] > 1:
            return 1
    soft = targets.is_floating_point() and output.shape == targets.shape and targets.ndim == 2 and targets.shape[1] > 1
    if soft and bool((targets >= 0).all()) and bool(((targets.sum(1) - 1).abs() < 1e-4).all()):
        return 1
    return None


def _classes(axis: int) -> Callable[[Tensor, Tensor], float]:
    def right(output: Tensor, targets: Tensor) -> float:
        labels = targets if output.ndim == targets.ndim + 1 else targets.argmax(axis)
        counts = labels != IGNORED
        return float((output.argmax(axis) == labels)[counts].float().mean())

    return right


def _yes_or_no(output: Tensor, targets: Tensor) -> float:
    output = output.reshape(targets.shape)
    threshold = 0.5 if bool(((output >= 0) & (output <= 1)).all()) else 0.0
    return float(((output > threshold) == (targets > 0.5)).float().mean())


def _numbers(output: Tensor, targets: Tensor) -> float:
    values = targets.float()
    output = output.reshape(values.shape)
    spread = float((values - values.mean(0)).square().sum())
    wrong = float((values - output).square().sum())
    return 1 - wrong / spread if spread > 0 else (1.0 if wrong < 1e-12 else 0.0)
