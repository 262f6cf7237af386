"""From data as a user has them (bundle, tensors, data set, loader) to the batches that the loop and evaluation read.

Not here: the adapters themselves (`mlkit.data.adapt`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mlkit.data.adapt import Examples, as_batches, infer_task
from mlkit.data.batches import Augment, Batches, SplitBatches
from mlkit.data.bundle import DataBundle
from mlkit.data.loaders import LoaderBatches
from mlkit.data.splits import Split
from mlkit.runtime.keys import generator
from mlkit.task import Task

HeldOut = DataLoader[Any] | Dataset[Any] | Examples | Batches
TrainingData = DataBundle | HeldOut

# Enough for an interval of about ±3 points on an accuracy, and cheap beside an epoch.
TRAIN_EXAMPLES_JUDGED = 1000
EVALUATION_BATCH_SIZE = 512
# Without gradients a larger batch saves calls; beyond 16 MiB of inputs it only takes memory.
EVALUATION_NUMBERS = 2**22


def named_batches(
    data: TrainingData,
    val: HeldOut | None,
    *,
    batch_size: int,
    seed: int,
    device: torch.device,
    augment: Augment | None,
) -> tuple[Batches, dict[str, Batches], Task]:
    """The training batches, what is judged by split name, and what is known of the task.

    Judged batches are in order and not augmented, as far as that is ours to decide: a user's loader keeps its ways.
    """
    if isinstance(data, DataBundle):
        bundle = data.to(device)
        training = SplitBatches(bundle.train, batch_size, shuffle=True, seed=seed, augment=augment)
        return training, {name: _in_order(split, batch_size) for name, split in bundle.splits()}, bundle.task
    training_batches = as_batches(data, batch_size=batch_size, shuffle=True, seed=seed, device=device, augment=augment)
    judged: dict[str, Batches] = {"train": _unchanged(training_batches, seed=seed, device=device)}
    if val is not None:
        held_out = as_batches(val, batch_size=batch_size, shuffle=False, seed=seed, device=device)
        judged["val"] = _unchanged(held_out, seed=seed, device=device)
    return training_batches, judged, infer_task(training_batches)


def _unchanged(batches: Batches, *, seed: int, device: torch.device) -> Batches:
    """The same examples to judge: in order and without augmentation, as far as that is ours to decide."""
    if isinstance(batches, SplitBatches):
        return _in_order(batches.split, batches.batch_size)
    if isinstance(batches, LoaderBatches):
        return LoaderBatches(batches.loader, seed=seed, device=device)
    return batches


def _in_order(split: Split, batch_size: int) -> SplitBatches:
    """The batches of a split to judge, larger than those to train on where the examples are small."""
    first = split.gather(torch.zeros(1, dtype=torch.int64, device=split.device)).inputs
    numbers = sum(x.numel() for x in (first.values() if isinstance(first, Mapping) else first))
    return SplitBatches(split, max(batch_size, min(EVALUATION_BATCH_SIZE, EVALUATION_NUMBERS // max(numbers, 1))))


def fingerprint_of(data: TrainingData) -> str | None:
    """The content hash of a bundle; loaders and bare tensors have none."""
    return data.fingerprint or None if isinstance(data, DataBundle) else None


def sample_of(batches: Batches, *, seed: int) -> Batches:
    """At most `TRAIN_EXAMPLES_JUDGED` examples of ``batches``, always the same: what is judged after every epoch."""
    if not isinstance(batches, SplitBatches) or len(batches.split) <= TRAIN_EXAMPLES_JUDGED:
        return batches
    index = torch.randperm(len(batches.split), generator=generator(seed, "judged"))[:TRAIN_EXAMPLES_JUDGED]
    return SplitBatches(batches.split.subset(index.sort().values.to(batches.split.device)), batches.batch_size)
