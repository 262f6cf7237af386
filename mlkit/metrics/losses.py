"""Losses that follow the task: what to minimise for classes, for numbers and for the next token.

Each is called like a function of ``torch.nn.functional`` and costs no more; shapes are checked, and a mistake is
explained only after the call failed. Not here: sums over a split (`mlkit.metrics.streaming`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from mlkit.errors import ConfigError, MlkitError, ModelError
from mlkit.metrics.classes import IGNORED, is_stray, labels_out_of_range, not_classes, two_logits
from mlkit.task import Task


class TaskLoss(Protocol):
    """The loss of a task: the mean over a batch when called, or one value an example."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean loss of a batch, a scalar with a gradient."""

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        """Loss of every example, shape ``(N,)``."""


def loss_for(task: Task, *, label_smoothing: float = 0.0) -> TaskLoss:
    """The loss that a task calls for.

    Args:
        task: classification gives cross-entropy on logits, regression the mean squared error (in the units the targets
            are in, standardised or not), next_token the cross-entropy averaged over tokens.
        label_smoothing: this much of each target's mass is spread evenly over all classes (Szegedy et al. 2016);
            0.1 makes the model less sure of itself. Not for regression.

    Raises:
        ConfigError: ``label_smoothing`` is outside [0, 1), or the task is regression.

    >>> task = Task("classification", "vector", (4,), num_outputs=3)
    >>> loss = loss_for(task)
    >>> round(loss(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1])).item(), 4)  # ln 3
    1.0986
    """
    if not 0 <= label_smoothing < 1 or (label_smoothing and task.kind == "regression"):
        raise ConfigError(
            f"label smoothing that cannot be used for {task.kind}",
            received=label_smoothing,
            allowed="0" if task.kind == "regression" else "a number from 0 to below 1",
        )
    if task.kind == "regression":
        return SquaredError()
    if task.kind == "next_token":
        return TokenCrossEntropy(task.num_outputs, label_smoothing)
    return CrossEntropy(task.num_outputs, label_smoothing)


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy on logits.

    Output ``(N, C)``; target classes ``(N,)`` or probabilities ``(N, C)`` (mixup). For two classes one logit ``z``,
    ``(N,)`` or ``(N, 1)``, will do: it stands for the logits ``(0, z)``, so the loss is the same; the target may then
    also be the probability of class 1, floats ``(N,)`` or ``(N, 1)``. Classes marked -100 do not count.
    """

    num_classes: int
    label_smoothing: float = 0.0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self._loss(output, target, "mean")

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        return self._loss(output, target, "none")

    def terms(self, target: Tensor) -> Tensor:
        """1 for each example that counts, 0 for the others, ``(N,)``."""
        if target.is_floating_point() or target.ndim > 1:
            return torch.ones(len(target), device=target.device)
        return target.long() != IGNORED

    def _loss(self, output: Tensor, target: Tensor, reduction: str) -> Tensor:
        if self.num_classes == 2 and output.shape in ((len(target),), (len(target), 1)):
            output, target = two_logits(output), _of_two_classes(target)
        shape = output.shape
        if len(shape) != 2 or shape[1] != self.num_classes or shape[0] != len(target):
            raise _wrong_output(output, target, f"({len(target)}, {self.num_classes})" + self._or_one_logit(target))
        try:
            return F.cross_entropy(output, target, reduction=reduction, label_smoothing=self.label_smoothing)
        except (RuntimeError, ValueError, IndexError) as error:
            raise _explain(output, target) or error from None

    def _or_one_logit(self, target: Tensor) -> str:
        return f", or one logit ({len(target)},) or ({len(target)}, 1)" if self.num_classes == 2 else ""


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error; output ``(N, K)`` and target ``(N, K)``, where ``(N,)`` counts as ``(N, 1)``."""

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        if output.shape != target.shape or output.dtype != target.dtype:
            output, target = align(output, target)
        return F.mse_loss(output, target)

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        output, target = align(output, target)
        return (output - target).square().flatten(1).mean(1)


@dataclass(frozen=True)
class TokenCrossEntropy:
    """Cross-entropy of the next token; output ``(N, T, V)``, target ``(N, T)``, where -100 marks tokens to leave out.

    The mean is over tokens; the loss of an example is the mean over its own tokens.
    """

    vocab_size: int
    label_smoothing: float = 0.0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        return self._loss(output, target, "mean")

    def per_example(self, output: Tensor, target: Tensor) -> Tensor:
        losses = self._loss(output, target, "none").view(target.shape)
        return losses.sum(1) / self.terms(target).clamp(min=1)

    def terms(self, target: Tensor) -> Tensor:
        """Number of each example's tokens that count, ``(N,)``."""
        return (target.long() != IGNORED).sum(1)

    def _loss(self, output: Tensor, target: Tensor, reduction: str) -> Tensor:
        tokens = tokens_of(output, target, self.vocab_size).flatten()
        flat = output.flatten(0, 1)
        try:
            return F.cross_entropy(flat, tokens, reduction=reduction, label_smoothing=self.label_smoothing)
        except (RuntimeError, ValueError, IndexError) as error:
            raise _explain(flat, tokens) or error from None


def tokens_of(output: Tensor, target: Tensor, vocab_size: int | str = "V") -> Tensor:
    """The targets as int64 ``(N, T)``.

    Raises:
        ModelError: the output is not logits for each of them, ``(N, T, V)``.
    """
    if output.ndim != 3 or output.shape[:2] != target.shape:
        allowed = f"({', '.join(map(str, target.shape))}, {vocab_size}): logits for every position"
        raise _wrong_output(output, target, allowed)
    # -100 would be a valid token of uint8, 156.
    return target.long()


def align(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Output and target of a regression as ``(N, K)`` in one dtype, never broadcast against each other.

    Raises:
        ModelError: the shapes differ in more than a missing last axis of size 1.
    """
    first, second = (x[:, None] if x.ndim == 1 else x for x in (output, target))
    if first.shape != second.shape or first.ndim == 0:
        raise _wrong_output(output, target, f"{tuple(second.shape)}, the shape of the targets")
    dtype = torch.promote_types(output.dtype, torch.float32)
    return first.to(dtype), second.to(dtype)


def _wrong_output(output: Tensor, target: Tensor, allowed: str) -> ModelError:
    return ModelError(
        "the model's output does not fit the targets",
        received=f"output {tuple(output.shape)} for targets {tuple(target.shape)}",
        allowed=f"output {allowed}",
        todo="give the model's last layer as many outputs as the task has, and return them raw, without softmax",
    )


def _of_two_classes(target: Tensor) -> Tensor:
    """Classes as int64 ``(N,)``, or probabilities ``(N, 2)``, from any target that goes with one logit."""
    if target.ndim == 2 and target.shape[1] == 2:
        return target
    if target.shape not in ((len(target),), (len(target), 1)):
        raise not_classes(target, len(target), 2)
    target = target.flatten()
    return torch.stack([1 - target, target], 1) if target.is_floating_point() else target.long()


def _explain(output: Tensor, target: Tensor) -> MlkitError | None:
    """Why cross-entropy refused; None when it is none of the usual reasons."""
    if not output.is_floating_point():
        return ModelError("the model's output is not logits", received=output.dtype, allowed="floating point")
    if target.is_floating_point() and target.shape == output.shape:
        return None
    if target.ndim != 1 or target.dtype not in (torch.int64, torch.uint8):
        return not_classes(target, *output.shape)
    labels = target.long()
    labels = labels[labels != IGNORED]
    if not bool(is_stray(labels, output.shape[1]).any()):
        return None
    return labels_out_of_range(f"labels from {int(labels.min())} to {int(labels.max())}", output.shape[1])
