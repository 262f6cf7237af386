from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import cast

import pytest
import torch

from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.data.fingerprint import fingerprint, hash_splits
from mlkit.data.splits import TensorSplit, WindowSplit
from mlkit.task import Task

_PROGRAM = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(int(sys.argv[1]))
from mlkit.data.adapt import from_tensors
x = torch.arange(3 * 60 * 16, dtype=torch.int64).mul(2654435761).remainder(251).to(torch.uint8).reshape(60, 3, 4, 4)
floats = x.double().div(7).sin().float()
for data in (x, floats):
    print(from_tensors(data, torch.arange(60) % 3, standardize=True).fingerprint)
"""


def _images() -> DataBundle:
    x = torch.randint(0, 256, (60, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return from_tensors(x, torch.arange(60) % 3)


def _with_train(bundle: DataBundle, **changes: object) -> DataBundle:
    return replace(bundle, train=replace(cast(TensorSplit, bundle.train), **changes))


def test_the_same_content_has_the_same_fingerprint() -> None:
    assert _images().fingerprint == _images().fingerprint == fingerprint(_images())


def test_one_changed_pixel_changes_it_in_any_split() -> None:
    bundle = _images()
    for name, split in bundle.splits():
        changed = cast(TensorSplit, split).inputs[0].clone()
        changed[-1, -1, -1, -1] ^= 1
        other = replace(bundle, **{name: replace(cast(TensorSplit, split), inputs=(changed,))})
        assert fingerprint(other) != bundle.fingerprint


def test_order_shape_dtype_and_labels_count() -> None:
    bundle = _images()
    train = cast(TensorSplit, bundle.train)
    swapped = torch.arange(len(train))
    swapped[:2] = torch.tensor([1, 0])
    seen = {
        bundle.fingerprint,
        fingerprint(replace(bundle, train=train.subset(swapped))),
        fingerprint(_with_train(bundle, inputs=(train.inputs[0].reshape(-1, 1, 2, 8),))),
        fingerprint(_with_train(bundle, inputs=(train.inputs[0].to(torch.int16),))),
        fingerprint(_with_train(bundle, targets=(train.targets + 1) % 3)),
        fingerprint(replace(bundle, task=replace(bundle.task, num_outputs=4))),
    }
    assert len(seen) == 6


def test_the_numbers_to_standardise_by_count() -> None:
    x = torch.randint(0, 256, (60, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    plain, standardised = (from_tensors(x, torch.arange(60) % 3, standardize=choice) for choice in (False, True))
    assert torch.equal(plain.train.tensors()["input0"], standardised.train.tensors()["input0"])
    assert plain.fingerprint != standardised.fingerprint


def test_what_is_forecast_counts() -> None:
    task = Task("regression", "series", (4, 2), 1)
    series, starts = torch.randn(20, 2), torch.arange(10)
    windows = [WindowSplit(series, starts, 4, horizon=1, target_columns=(column,)) for column in (0, 1)]
    assert len({hash_splits(task, [("train", split)]) for split in windows}) == 2


def test_name_and_notes_do_not_count() -> None:
    bundle = _images()
    assert fingerprint(replace(bundle, name="other", notes={"a": "b"})) == bundle.fingerprint


def test_memory_layout_does_not_count() -> None:
    bundle = _images()
    x = cast(TensorSplit, bundle.train).inputs[0]
    assert (
        fingerprint(_with_train(bundle, inputs=(x.transpose(2, 3).contiguous().transpose(2, 3),))) == bundle.fingerprint
    )


@pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.float64, torch.int64])
def test_every_dtype_can_be_hashed(dtype: torch.dtype) -> None:
    task = Task("regression", "vector", (2,), 1)
    one, other = (TensorSplit((torch.full((3, 2), value, dtype=dtype),), torch.zeros(3)) for value in (0, 1))
    assert hash_splits(task, [("train", one)]) != hash_splits(task, [("train", other)])


def test_an_empty_tensor_can_be_hashed() -> None:
    split = TensorSplit((torch.zeros(0, 2),), torch.zeros(0))
    assert hash_splits(Task("regression", "vector", (2,), 1), [("train", split)]).startswith("mlkit-data-1:")


@pytest.mark.slow
def test_it_is_the_same_in_every_process_and_with_any_number_of_threads() -> None:
    lines = [
        subprocess.run([sys.executable, "-c", _PROGRAM, threads], capture_output=True, text=True, check=True).stdout
        for threads in ("1", "2")
    ]
    assert lines[0] == lines[1]
    assert len(set(lines[0].split())) == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_is_the_same_on_a_gpu() -> None:
    assert fingerprint(_images().to("cuda")) == _images().fingerprint
