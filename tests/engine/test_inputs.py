from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from mlkit.data import from_tensors
from mlkit.data.batches import SplitBatches
from mlkit.data.loaders import LoaderBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine.inputs import TRAIN_EXAMPLES_JUDGED, fingerprint_of, named_batches, sample_of

CPU = torch.device("cpu")


def _xy(count: int = 50, size: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 2


def _double(batch: Batch, generator: torch.Generator) -> Batch:
    return Batch((2 * batch.inputs[0],), batch.targets)  # type: ignore[index]


def test_what_is_judged_is_in_order_and_not_augmented() -> None:
    x, y = _xy()
    training, judged, task = named_batches((x, y), None, batch_size=8, seed=0, device=CPU, augment=_double)
    [batch] = judged["train"].epoch(3)
    assert torch.equal(batch.inputs[0], x)  # type: ignore[index]
    first = next(iter(training.epoch(0)))
    rows = first.inputs[0] / 2  # type: ignore[index]
    assert all((rows[i] == x).all(1).any() for i in range(len(rows)))
    assert task.num_outputs == 2


def test_a_loader_keeps_its_batches() -> None:
    loader = DataLoader(TensorDataset(*_xy()), batch_size=7)
    training, judged, _ = named_batches(loader, loader, batch_size=32, seed=0, device=CPU, augment=None)
    assert isinstance(training, LoaderBatches)
    assert [len(batch.targets) for batch in judged["val"].epoch(0)] == [7] * 7 + [1]


def test_batches_to_judge_are_large_only_where_examples_are_small() -> None:
    small = named_batches(from_tensors(*_xy(2000)), None, batch_size=8, seed=0, device=CPU, augment=None)[1]
    large = named_batches(from_tensors(*_xy(40, 2**18)), None, batch_size=8, seed=0, device=CPU, augment=None)[1]
    assert isinstance(small["train"], SplitBatches)
    assert isinstance(large["train"], SplitBatches)
    assert small["train"].batch_size == 512
    assert large["train"].batch_size == 16


def test_the_sample_of_a_large_part_is_always_the_same() -> None:
    split = TensorSplit((torch.arange(5000.0)[:, None],), torch.zeros(5000, dtype=torch.int64))
    first, again, other = (sample_of(SplitBatches(split, 100), seed=seed) for seed in (1, 1, 2))
    targets = [torch.cat([batch.inputs[0] for batch in part.epoch(0)]) for part in (first, again, other)]  # type: ignore[index]
    assert len(targets[0]) == TRAIN_EXAMPLES_JUDGED == len(targets[0].unique())
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])


def test_only_a_bundle_has_a_fingerprint() -> None:
    assert fingerprint_of(from_tensors(*_xy()))
    assert fingerprint_of(_xy()) is None
