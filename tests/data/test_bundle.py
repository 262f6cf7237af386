from __future__ import annotations

from typing import cast

import torch

from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import TensorSplit


def _bundle(*, test: bool) -> DataBundle:
    x, y = torch.randn(40, 3), torch.arange(40) % 2
    return from_tensors(x, y, test=(x[:6], y[:6]) if test else None, name="toy")


def test_only_the_splits_that_exist_are_listed_in_order() -> None:
    assert [name for name, _ in _bundle(test=False).splits()] == ["train", "val"]
    assert [name for name, _ in _bundle(test=True).splits()] == ["train", "val", "test"]


def test_its_text_says_what_it_is_and_never_shows_tensors() -> None:
    bundle = _bundle(test=True)
    assert str(bundle) == repr(bundle) == "toy: vector 3, 2 classes; train 36, val 4, test 6"


def test_moving_keeps_everything_else() -> None:
    bundle = _bundle(test=True)
    moved = bundle.to("cpu")
    assert moved.fingerprint == bundle.fingerprint
    assert moved.task == bundle.task
    for (_, a), (_, b) in zip(bundle.splits(), moved.splits(), strict=True):
        assert cast(TensorSplit, a).inputs[0].data_ptr() == cast(TensorSplit, b).inputs[0].data_ptr()
