"""Prediction and measurement in a process that has done nothing else.

In one that has run a thousand tests the heap has room between what is in use, which steps fill before they take more;
the resident memory then grows by less than the steps use.
"""

from __future__ import annotations

import torch
from torch import nn

from mlkit import models
from mlkit.debug.memory import estimate_memory
from mlkit.debug.memory.measured import measured_peak
from mlkit.debug.memory.simulate import Parts
from mlkit.debug.overfit.run import prepared

NAMES = ("mlp", "lenet", "lstm")
Looked = tuple[int, int, int | None, str | None]


def predicted_and_measured(name: str) -> Looked:
    """The predicted peak, the sum of its parts, the measured peak, and what went wrong."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cases: dict[str, tuple[nn.Module, tuple[int, ...], int]] = {
        "mlp": (models.mlp(784, 10, hidden=(512,)), (784,), 4096),
        "lenet": (models.lenet(num_classes=10), (1, 28, 28), 1024),
        "lstm": (models.lstm(16, 10, hidden=64), (30, 16), 512),
    }
    model, shape, size = cases[name]
    batch = torch.zeros(16, *shape), torch.arange(16) % 10
    predicted = estimate_memory(model, batch, batch_size=size)
    setup = prepared(model, batch, None, None, seed=0)
    took = measured_peak(Parts(setup.model, setup.optimizer, setup.loss_fn, setup.batch), size, steps=3)
    return predicted.peak, sum(predicted.parts.values()), took.peak, took.problem
