"""Batches: the order in which examples are seen, as a pure function of (seed, epoch), and whole-batch augmentation.

Not here: what an example is (`mlkit.data.splits`) and the augmentations themselves (`mlkit.data.augment`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

import torch
from torch import Tensor

from mlkit.data.splits import Batch, Split
from mlkit.errors import ConfigError
from mlkit.runtime.keys import derive_seed, generator

Augment = Callable[[Batch, torch.Generator], Batch]


class Batches(Protocol):
    """What the loop needs: the batches of epoch ``epoch``, from batch ``start`` on."""

    @property
    def num_examples(self) -> int:
        """Examples in an epoch."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """Yield the epoch's batches; the same call gives the same batches in any process."""


def batch_bounds(n: int, batch_size: int, *, join_single: bool) -> list[int]:
    """Where the batches of ``n`` examples begin, and the end of the last.

    Args:
        n: number of examples.
        batch_size: examples in a batch; the last one may be smaller.
        join_single: a single example that would be left over joins the last batch.

    >>> batch_bounds(65, 32, join_single=True)
    [0, 32, 65]
    """
    bounds = [*range(0, n, batch_size), n]
    if join_single and len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds


def check_batch_size(batch_size: object) -> None:
    """Refuse what is not a number of examples.

    Raises:
        ConfigError: not a whole number of 1 or more.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ConfigError(
            "batch_size cannot be right", received=repr(batch_size), allowed="a whole number, 1 or more", todo="try 32"
        )


@dataclass(frozen=True, eq=False)
class SplitBatches:
    """Batches of a resident split.

    Args:
        split: the examples.
        batch_size: examples in a batch; the last one of an epoch may be smaller. When shuffling, which is to say when
            training, a single example that would be left over joins the last batch, since batch statistics of one
            example are undefined.
        shuffle: a new order each epoch, a pure function of (seed, epoch).
        seed: root of the order and of the augmentation.
        augment: changes a batch at random; keyed by (seed, epoch, batch), so a resumed run sees the same.

    Raises:
        ConfigError: ``batch_size`` is not a whole number of 1 or more.
    """

    split: Split
    batch_size: int
    shuffle: bool = False
    seed: int = 0
    augment: Augment | None = None

    def __post_init__(self) -> None:
        check_batch_size(self.batch_size)

    @property
    def num_examples(self) -> int:
        return len(self.split)

    def __len__(self) -> int:
        return len(self._bounds()) - 1

    def _bounds(self) -> list[int]:
        return batch_bounds(len(self.split), self.batch_size, join_single=self.shuffle)

    def order(self, epoch: int) -> Tensor:
        """Indices of the epoch's examples in the order they are seen, int64 ``(N,)``, on the split's device."""
        if not self.shuffle:
            return torch.arange(len(self.split), device=self.split.device)
        order = torch.randperm(len(self.split), generator=generator(self.seed, "shuffle", epoch))
        return order.to(self.split.device)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        bounds = self._bounds()
        order, gather, augment = self.order(epoch), self.split.gather, self.augment
        stream = torch.Generator(device=self.split.device) if augment is not None else None
        for number in range(start, len(bounds) - 1):
            batch = gather(order[bounds[number] : bounds[number + 1]])
            if augment is not None and stream is not None:
                stream.manual_seed(derive_seed(self.seed, "augment", epoch, number))
                batch = augment(batch, stream)
            yield batch
