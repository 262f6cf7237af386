"""Example inputs: a small batch of zeros with the shapes that a task's inputs have.

Not here: real data; this is for summaries and for checking that a model and a task fit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlkit.task import Task


def example_inputs(task: Task, *, batch_size: int = 2, device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """Inputs for ``model(*inputs)``: zeros, as many as the task's models take.

    Args:
        task: what is known of the data.
        batch_size: examples.
        device: where the tensors are made.

    >>> images = Task("classification", "image", (1, 28, 28), num_outputs=10)
    >>> [tuple(x.shape) for x in example_inputs(images)]
    [(2, 1, 28, 28)]
    """
    dtype = torch.int64 if task.input_kind == "tokens" else torch.float32
    inputs = [torch.zeros(batch_size, *task.input_shape, dtype=dtype, device=device)]
    if task.cardinalities:
        inputs.append(torch.zeros(batch_size, len(task.cardinalities), dtype=torch.int64, device=device))
    if task.has_lengths:
        inputs.append(torch.full((batch_size,), task.input_shape[0], dtype=torch.int64, device=device))
    return tuple(inputs)
