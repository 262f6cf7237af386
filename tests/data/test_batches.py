from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from mlkit.data.batches import SplitBatches, batch_bounds
from mlkit.data.splits import Affine, Batch, TensorSplit
from mlkit.errors import ConfigError


def _split(n: int) -> TensorSplit:
    return TensorSplit((torch.arange(n),), torch.arange(n))


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 64, 65, 100])
@pytest.mark.parametrize("shuffle", [False, True])
def test_an_epoch_shows_every_example_once(n: int, shuffle: bool) -> None:
    batches = SplitBatches(_split(n), 32, shuffle=shuffle)
    seen = [batch.targets for batch in batches.epoch(0)]
    assert len(seen) == len(batches)
    assert batches.num_examples == n
    assert sorted(torch.cat(seen).tolist()) == list(range(n))


def test_training_batches_never_hold_a_single_leftover_example() -> None:
    sizes = [len(batch.targets) for batch in SplitBatches(_split(65), 32, shuffle=True).epoch(0)]
    assert sizes == [32, 33]


def test_evaluation_batches_are_in_order_and_of_the_size_asked_for() -> None:
    batches = [batch.targets for batch in SplitBatches(_split(65), 32).epoch(5)]
    assert [len(batch) for batch in batches] == [32, 32, 1]
    assert torch.cat(batches).tolist() == list(range(65))


@pytest.mark.parametrize(("n", "size"), [(1, 1), (3, 1), (0, 4), (5, 8), (9, 4)])
def test_bounds_cover_everything_without_an_empty_batch(n: int, size: int) -> None:
    bounds = batch_bounds(n, size, join_single=True)
    assert bounds[0] == 0
    assert bounds[-1] == n
    assert all(a < b for a, b in pairwise(bounds))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "32"])
def test_a_batch_size_that_cannot_be_right_is_refused(size: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        SplitBatches(_split(4), size)
    assert str(caught.value).splitlines() == [
        "batch_size cannot be right",
        f"  received: {size!r}",
        "  allowed:  a whole number, 1 or more",
        "  to do:    try 32",
    ]


def test_whole_numbers_of_numpy_are_batch_sizes() -> None:
    assert len(SplitBatches(_split(10), np.int64(4))) == 3  # type: ignore[arg-type]


def test_the_order_is_a_pure_function_of_seed_and_epoch() -> None:
    first, again = SplitBatches(_split(50), 8, shuffle=True, seed=1), SplitBatches(_split(50), 8, shuffle=True, seed=1)
    list(first.epoch(0))
    torch.rand(5)  # other use of the global stream
    assert torch.equal(first.order(3), again.order(3))
    assert not torch.equal(first.order(3), first.order(4))
    assert not torch.equal(first.order(3), SplitBatches(_split(50), 8, shuffle=True, seed=2).order(3))


def test_the_order_depends_on_neither_the_batch_size_nor_the_augmentation() -> None:
    plain = SplitBatches(_split(50), 8, shuffle=True)
    other = SplitBatches(_split(50), 16, shuffle=True, augment=_jitter)
    seen = [torch.cat([batch.targets for batch in batches.epoch(1)]) for batches in (plain, other)]
    assert torch.equal(*seen)


def _jitter(batch: Batch, stream: torch.Generator) -> Batch:
    return Batch((torch.rand(len(batch.targets), generator=stream),), batch.targets)


@pytest.mark.parametrize("start", range(8))
def test_an_epoch_entered_in_the_middle_goes_on_as_if_never_left(start: int) -> None:
    batches = SplitBatches(_split(50), 8, shuffle=True, augment=_jitter)
    whole, rest = list(batches.epoch(2)), list(batches.epoch(2, start=start))
    assert len(rest) == 7 - start
    for expected, got in zip(whole[start:], rest, strict=True):
        assert torch.equal(expected.inputs[0], got.inputs[0])
        assert torch.equal(expected.targets, got.targets)


def test_augmentation_draws_anew_for_every_batch_epoch_and_seed() -> None:
    drawn = [
        tuple(batch.inputs[0].tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
        for batch in SplitBatches(_split(24), 8, augment=_jitter, seed=seed).epoch(epoch)
    ]
    assert len(set(drawn)) == 2 * 2 * 3


def test_the_global_generator_is_neither_used_nor_moved() -> None:
    before = torch.get_rng_state()
    first = [b.inputs[0] for b in SplitBatches(_split(20), 8, shuffle=True, augment=_jitter).epoch(0)]
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    again = [b.inputs[0] for b in SplitBatches(_split(20), 8, shuffle=True, augment=_jitter).epoch(0)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_two_epochs_read_side_by_side_do_not_disturb_one_another() -> None:
    batches = SplitBatches(_split(24), 8, shuffle=True, augment=_jitter)
    alone = list(batches.epoch(1))
    both = list(zip(batches.epoch(0), batches.epoch(1), strict=True))
    assert all(torch.equal(a.inputs[0], b.inputs[0]) for a, (_, b) in zip(alone, both, strict=True))


def test_bytes_stay_bytes_in_memory_and_only_the_batch_is_float() -> None:
    split = TensorSplit((torch.zeros(1000, 1, 8, 8, dtype=torch.uint8),), torch.zeros(1000, dtype=torch.long), _unit())
    batches = SplitBatches(split.to("cpu"), 10, shuffle=True)
    for batch in batches.epoch(0):
        assert batch.inputs[0].dtype == torch.float32
        assert batch.inputs[0].shape == (10, 1, 8, 8)
    assert batches.split.tensors()["input0"].dtype == torch.uint8
    assert batches.split.tensors()["input0"].untyped_storage().nbytes() == 1000 * 64


def _unit() -> Affine:
    return Affine(torch.tensor(1 / 255), torch.tensor(0.0))


def test_a_batch_costs_no_work_in_python_that_grows_with_its_size() -> None:
    split = TensorSplit((torch.zeros(4096, 4, dtype=torch.uint8),), torch.zeros(4096, dtype=torch.long), _unit())
    counts = [_python_lines(SplitBatches(split, size, shuffle=True)) for size in (16, 4096)]
    assert counts[0] == counts[1]


def _python_lines(batches: SplitBatches) -> int:
    lines = 0

    def count(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    batch = batches.epoch(0)
    previous = sys.gettrace()
    sys.settrace(count)
    try:
        next(batch)
    finally:
        sys.settrace(previous)
    return lines
