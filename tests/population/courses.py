"""A course for tests of its parts."""

from __future__ import annotations

import torch

from mlkit.data.splits import TensorSplit
from mlkit.engine.inputs import named_batches
from mlkit.metrics import for_task
from mlkit.metrics.losses import loss_for
from mlkit.population.course import Course


def course_of(data: TensorSplit, val: TensorSplit | None = None, *, epochs: int = 2, batch_size: int = 8) -> Course:
    """What members share that are trained on ``data``."""
    device = torch.device("cpu")
    training, judged, task = named_batches(data, val, batch_size=batch_size, seed=0, device=device, augment=None)
    return Course(loss_for(task), tuple(for_task(task)), training, judged, epochs, device)
