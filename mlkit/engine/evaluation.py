"""Evaluation: a model judged as it will be used, in evaluation mode, every number with an interval.

Not here: what the metrics are (`mlkit.metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn

from mlkit.data.batches import Batches
from mlkit.engine.step import LossFunction, forward
from mlkit.metrics.estimate import Estimate
from mlkit.metrics.streaming import Loss, StreamingMetric


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; the mode of every single module is put back afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():  # not inference mode: what a model keeps for itself must stay usable for training
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def evaluate_model(
    model: nn.Module,
    batches: Batches,
    *,
    metrics: Sequence[StreamingMetric],
    loss_fn: LossFunction,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> dict[str, Estimate]:
    """Evaluate ``model`` on all of ``batches``.

    Args:
        model: left as it is found, modes and buffers included.
        batches: in any order; weighted by their number of examples.
        metrics: reset, then fed with raw outputs and targets.
        loss_fn: with a method ``per_example(output, targets) -> (N,)`` the loss gets an interval, else only a value.
        precision: makes the autocast context of a forward pass.

    Returns:
        Metric name to `Estimate`; ``"loss"`` first.
    """
    loss = Loss(loss_fn)
    for metric in metrics:
        metric.reset()
    with evaluation_mode(model):
        for batch in batches.epoch(0):
            with precision():
                output = forward(model, batch)
            if output.dtype in (torch.bfloat16, torch.float16):
                output = output.float()
            loss.update(output, batch.targets)
            for metric in metrics:
                metric.update(output, batch.targets)
    return {"loss": loss.compute(), **{metric.name: metric.compute() for metric in metrics}}


def values(metrics: Mapping[str, Estimate]) -> dict[str, float]:
    """The bare values by name."""
    return {name: estimate.value for name, estimate in metrics.items()}
