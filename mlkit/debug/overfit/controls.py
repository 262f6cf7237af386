"""What a batch is compared with: the same with its inputs erased, and with its labels shuffled.

Not here: training on them (`mlkit.debug.overfit.course`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mlkit.data.splits import Batch
from mlkit.runtime.keys import generator


def without_inputs(batch: Batch) -> Batch:
    """The batch with zeros in place of numbers and, at every place, the same index for all examples.

    What can still be learned is how the labels are distributed.

    >>> without_inputs(Batch((torch.ones(2, 2), torch.tensor([1, 3])), torch.tensor([0, 1]))).inputs[1]
    tensor([3, 3])
    """

    def erased(x: Tensor) -> Tensor:
        if x.is_floating_point() or not x.numel():
            return torch.zeros_like(x)
        return x.amax(0, keepdim=True).expand_as(x).clone()  # of its own column: the next may have fewer categories

    inputs = batch.inputs
    if isinstance(inputs, Mapping):
        return Batch({name: erased(x) for name, x in inputs.items()}, batch.targets.clone())
    return Batch(tuple(erased(x) for x in inputs), batch.targets.clone())


def with_shuffled_labels(batch: Batch, *, seed: int) -> Batch:
    """The batch with the labels of other examples: what a model can only know by heart."""
    order = torch.randperm(len(batch.targets), generator=generator(seed, "shuffled labels"))
    return Batch(batch.inputs, batch.targets[order.to(batch.targets.device)])
