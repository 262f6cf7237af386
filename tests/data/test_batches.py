from __future__ import annotations

import pytest
import torch

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch, TensorSplit


def _split(n: int) -> TensorSplit:
    return TensorSplit((torch.arange(n),), torch.arange(n))


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_shows_every_example_once(n: int, shuffle: bool) -> None:
    batches = SplitBatches(_split(n), 32, shuffle=shuffle)
    seen = [batch.targets for batch in batches.epoch(0)]
    assert len(seen) == len(batches)
    assert sorted(torch.cat(seen).tolist()) == list(range(n))


def test_training_batches_never_hold_a_single_leftover_example() -> None:
    sizes = [len(batch.targets) for batch in SplitBatches(_split(65), 32, shuffle=True).epoch(0)]
    assert sizes == [32, 33]


def test_the_order_is_a_pure_function_of_seed_and_epoch() -> None:
    first, again = SplitBatches(_split(50), 8, shuffle=True, seed=1), SplitBatches(_split(50), 8, shuffle=True, seed=1)
    list(first.epoch(0))
    torch.rand(5)  # other use of the global stream
    assert torch.equal(first.order(3), again.order(3))
    assert not torch.equal(first.order(3), first.order(4))
    assert not torch.equal(first.order(3), SplitBatches(_split(50), 8, shuffle=True, seed=2).order(3))


def test_an_epoch_entered_in_the_middle_goes_on_as_if_never_left() -> None:
    def jitter(batch: Batch, stream: torch.Generator) -> Batch:
        return Batch((torch.rand(len(batch.targets), generator=stream),), batch.targets)

    batches = SplitBatches(_split(50), 8, shuffle=True, augment=jitter)
    whole, rest = list(batches.epoch(2)), list(batches.epoch(2, start=4))
    for expected, got in zip(whole[4:], rest, strict=True):
        assert torch.equal(expected.inputs[0], got.inputs[0])
        assert torch.equal(expected.targets, got.targets)
