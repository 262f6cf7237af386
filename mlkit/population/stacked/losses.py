"""One loss a member from the outputs of all, each normalised by its own weights.

Not here: the losses themselves (`mlkit.metrics.losses`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from mlkit.errors import ConfigError
from mlkit.metrics.losses import TaskLoss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def member_losses(
    loss_fn: LossFunction | TaskLoss,
    outputs: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    label_smoothing: Tensor | None = None,
    *,
    own_targets: bool | None = None,
) -> Tensor:
    """The mean loss of each member, ``(K,)``; the gradient of their sum is each member's own.

    Args:
        loss_fn: a loss of mlkit, or any ``loss_fn(output, targets) -> scalar``, which is then called member by member
            and cannot be weighted.
        outputs: ``(K, B, …)``.
        targets: one batch ``(B, …)`` for all, or ``(K, B, …)``.
        weights: ``(K, B)``, of the examples; a member's mean is divided by the sum of its weights, and is 0 where they
            are all 0.
        label_smoothing: ``(K,)``, in place of the loss's own.
        own_targets: whether ``targets`` are ``(K, B, …)``; None tells by the shape.

    Raises:
        ConfigError: weights or label smoothing for a loss that has none, or targets whose shape does not tell.

    >>> from mlkit.metrics.losses import CrossEntropy
    >>> member_losses(CrossEntropy(3), torch.zeros(2, 5, 3), torch.tensor([0, 1, 2, 0, 1]))
    tensor([1.0986, 1.0986])
    """
    size, rows = outputs.shape[:2]
    has_members = _has_members(targets, size, rows) if own_targets is None else own_targets
    own = targets if has_members else targets[None].expand(size, *targets.shape)
    if not hasattr(loss_fn, "per_example"):
        if weights is not None or label_smoothing is not None:
            raise ConfigError(
                "a loss without per_example cannot be weighted or smoothed",
                received=getattr(loss_fn, "__name__", type(loss_fn).__name__),
                todo="give the loss a method per_example(output, target) -> (N,)",
            )
        return torch.stack([loss_fn(output, target) for output, target in zip(outputs, own, strict=True)])
    loss = cast("TaskLoss", loss_fn)
    flat, flat_targets = outputs.flatten(0, 1), own.flatten(0, 1)
    if label_smoothing is None:
        losses = loss.per_example(flat, flat_targets).view(size, rows)
    else:
        losses = _smoothed(loss, flat, flat_targets, label_smoothing.to(outputs).view(size, 1))
    share = None if weights is None else weights.to(losses)
    if hasattr(loss, "terms"):
        # Examples that count less (tokens left out, classes marked -100) have less of the mean, as in the batch's loss.
        terms = loss.terms(own[0])[None] if not has_members else loss.terms(flat_targets).view(size, rows)
        share = terms.to(losses) if share is None else share * terms.to(losses)
    if share is None:
        return losses.mean(1)
    total = share.sum(1)
    return (losses * share).sum(1) / torch.where(total == 0, 1.0, total)


def _smoothed(loss: TaskLoss, outputs: Tensor, targets: Tensor, smoothing: Tensor) -> Tensor:
    """Cross-entropy is linear in the targets, so any smoothing is a mean of none and of all of it."""
    if not hasattr(loss, "label_smoothing"):
        raise ConfigError("label smoothing for a loss that has none", received=type(loss).__name__)
    replace: Callable[..., TaskLoss] = dataclasses.replace
    none, full = (
        replace(loss, label_smoothing=amount).per_example(outputs, targets).view(len(smoothing), -1)
        for amount in (0.0, 1.0)
    )
    return torch.lerp(none, full, smoothing)


def _has_members(targets: Tensor, size: int, rows: int) -> bool:
    fits = targets.ndim > 1 and targets.shape[:2] == (size, rows)
    if fits and size == rows == 1:
        return False
    if fits and size == rows:
        raise ConfigError(
            "the shape of the targets does not tell whether members share them",
            received=f"{tuple(targets.shape)} for {size} members and {rows} examples",
            todo="say own_targets=True or False",
        )
    return fits
