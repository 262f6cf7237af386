from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlkit.data.bundle import DataBundle
from mlkit.data.pipeline import finish, resize_images
from mlkit.data.source import Source
from mlkit.data.splits import TensorSplit
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task


def _draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _vectors(n: int = 200, classes: int = 4, **changes: Any) -> Source:
    """The last feature is the number of the row, so that every row can be found again."""
    x = torch.randn(n, 3, generator=_draws())
    x[:, 2] = torch.arange(n)
    task = Task("classification", "vector", (3,), classes, class_names=tuple(f"c{i}" for i in range(classes)))
    return replace(Source("toy", task, (x,), torch.arange(n) % classes), **changes)


def _images(n: int = 60, size: int = 8, **changes: Any) -> Source:
    x = torch.randint(0, 256, (n, 3, size, size), generator=_draws()).to(torch.uint8)
    task = Task("classification", "image", (3, size, size), 2)
    return replace(Source("pictures", task, (x,), torch.arange(n) % 2, standardize="channel", unit=255.0), **changes)


def _stored(bundle: DataBundle, name: str) -> TensorSplit:
    return cast(TensorSplit, getattr(bundle, name))


def _rows(bundle: DataBundle, name: str) -> list[int]:
    return [int(row) for row in _stored(bundle, name).inputs[0][:, 2]]


def _all_rows(bundle: DataBundle) -> list[int]:
    return [row for name, _ in bundle.splits() for row in _rows(bundle, name)]


def test_the_splits_are_disjoint_and_cover_everything() -> None:
    bundle = finish(_vectors())
    assert [len(split) for _, split in bundle.splits()] == [140, 20, 40]
    assert sorted(_all_rows(bundle)) == list(range(200))


def test_an_example_keeps_its_label_through_the_whole_pipeline() -> None:
    bundle = finish(_vectors(), limit=50, classes=["c3", "c1"], seed=4)
    for name, split in bundle.splits():
        new = {3: 0, 1: 1}
        assert [new[row % 4] for row in _rows(bundle, name)] == split.targets.tolist()


def test_the_split_is_a_pure_function_of_the_seed() -> None:
    torch.rand(3)
    assert finish(_vectors(), seed=1).fingerprint == finish(_vectors(), seed=1).fingerprint
    assert _rows(finish(_vectors(), seed=1), "val") != _rows(finish(_vectors(), seed=2), "val")


def test_the_global_generator_is_not_moved() -> None:
    before = torch.get_rng_state()
    finish(_images(), limit=20, image_size=5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["vector", "image", "float image", "series", "regression"])
def test_held_out_examples_change_nothing_of_the_training_split(kind: str) -> None:
    source = _of_kind(kind)
    train, *held = _row_numbers(source)
    changed = replace(source, inputs=(source.inputs[0].clone(), *source.inputs[1:]), targets=source.targets.clone())
    for rows in held:
        changed.inputs[0][rows] = 200 if source.inputs[0].dtype == torch.uint8 else 1e4
        if source.task.kind == "regression":
            changed.targets[rows] = -1e6
    before, after = finish(source), finish(changed)
    assert len(before.train) == len(train)
    for name, tensor in before.train.tensors().items():
        assert torch.equal(tensor, after.train.tensors()[name]), name
    assert before.task == after.task
    assert not torch.equal(_stored(before, "test").inputs[0], _stored(after, "test").inputs[0])


def _of_kind(kind: str) -> Source:
    if kind == "image":
        return _images()
    if kind == "float image":
        return replace(_images(), inputs=(torch.randn(60, 3, 4, 4, generator=_draws()),), unit=1.0)
    y = torch.arange(60) % 2
    if kind == "series":
        task = Task("classification", "series", (5, 2), 2, has_lengths=True)
        lengths = torch.randint(1, 6, (60,), generator=_draws())
        return Source("s", task, (torch.randn(60, 5, 2, generator=_draws()), lengths), y, standardize="channel")
    if kind == "regression":
        task = Task("regression", "vector", (2,), 1)
        return Source("r", task, (torch.randn(60, 2),), torch.randn(60), standardize="feature")
    return _vectors(60, standardize="feature")


def _row_numbers(source: Source) -> list[Tensor]:
    """Which rows of the source are in train, val and test: the split never depends on the content."""
    numbered = Source(
        source.name,
        replace(source.task, input_kind="other", has_lengths=False),
        (torch.arange(len(source.targets)),),
        source.targets,
    )
    bundle = finish(numbered)
    return [_stored(bundle, name).inputs[0] for name in ("train", "val", "test")]


def test_the_training_split_is_standardised_by_its_own_moments() -> None:
    bundle = finish(_vectors(standardize="feature"))
    x = _stored(bundle, "train").inputs[0]
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_a_constant_column_becomes_zero_in_train_and_stays_finite_elsewhere() -> None:
    source = _vectors(standardize="feature")
    source.inputs[0][:, 0] = 7.3
    for _, split in finish(source).splits():
        assert bool((split.gather(torch.arange(len(split))).inputs[0][:, 0] == 0).all())


def test_bytes_stay_bytes_and_gather_standardised() -> None:
    bundle = finish(_images())
    assert all(_stored(bundle, name).inputs[0].dtype == torch.uint8 for name, _ in bundle.splits())
    x = bundle.train.gather(torch.arange(len(bundle.train))).inputs[0]
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)


def test_regression_targets_lead_back_to_their_unit() -> None:
    y = torch.randn(100, generator=_draws()) * 50 + 1000
    task = Task("regression", "vector", (2,), 1)
    bundle = finish(Source("r", task, (torch.randn(100, 2),), y, standardize="feature"))
    seen = [split.targets * bundle.task.target_std[0] + bundle.task.target_mean[0] for _, split in bundle.splits()]
    torch.testing.assert_close(torch.cat(seen).flatten().sort().values, y.sort().values)
    raw = finish(Source("r", task, (torch.randn(100, 2),), y, standardize_targets=False))
    assert raw.task.target_mean == ()
    assert float(raw.train.targets.mean()) > 900


def test_missing_numbers_and_categories_are_made_ready_by_train() -> None:
    numeric = torch.randn(50, 2, generator=_draws())
    numeric[::3, 1] = float("nan")
    codes = torch.randint(0, 9, (50, 1), generator=_draws()) * 100
    task = Task("classification", "table", (2,), 2)
    bundle = finish(Source("t", task, (numeric, codes), torch.arange(50) % 2, standardize="feature"))
    assert bundle.task.input_shape == (3,)  # one column more says what was missing
    for _, split in bundle.splits():
        x, category = split.gather(torch.arange(len(split))).inputs
        assert bool(x.isfinite().all())
        assert int(category.max()) < bundle.task.cardinalities[0]


def test_the_limit_keeps_classes_in_proportion_and_never_touches_the_test() -> None:
    whole, small = finish(_vectors(400)), finish(_vectors(400), limit=40)
    assert [len(split) for _, split in small.splits()] == [40, round(40 / 280 * 40), 80]
    assert torch.bincount(small.train.targets).tolist() == [10, 10, 10, 10]
    assert _rows(small, "test") == _rows(whole, "test")
    assert set(_rows(small, "train")) < set(_rows(whole, "train"))
    assert small.notes["limit"] == "40 of 280 training examples"


def test_a_limit_beyond_what_there_is_changes_nothing() -> None:
    assert finish(_vectors(), limit=10_000).fingerprint == finish(_vectors()).fingerprint


def test_statistics_are_those_of_the_limited_training_split() -> None:
    x = _stored(finish(_vectors(standardize="feature"), limit=20), "train").inputs[0]
    torch.testing.assert_close(x.mean(0), torch.zeros(3), atol=1e-5, rtol=0)


def test_classes_are_renumbered_in_the_order_asked_for() -> None:
    bundle = finish(_vectors(), classes=["c2", 0])
    assert bundle.task.class_names == ("c2", "c0")
    assert bundle.task.num_outputs == 2
    for name, split in bundle.splits():
        assert [{2: 0, 0: 1}[row % 4] for row in _rows(bundle, name)] == split.targets.tolist()
    assert bundle.notes["classes"] == "c2, c0"


def test_classes_are_kept_in_official_parts_too() -> None:
    test = _vectors(20)
    bundle = finish(_vectors(test_inputs=test.inputs, test_targets=test.targets), classes=[1, 3])
    assert len(_stored(bundle, "test")) == 10
    assert set(bundle.task.class_names) == {"c1", "c3"}


def test_official_parts_are_used_as_they_are() -> None:
    other = _vectors(12)
    bundle = finish(
        _vectors(
            test_inputs=other.inputs, test_targets=other.targets, val_inputs=other.inputs, val_targets=other.targets
        )
    )
    assert _rows(bundle, "train") == list(range(200))
    assert _rows(bundle, "test") == _rows(bundle, "val") == list(range(12))
    assert bundle.notes["split"] == "official"


def test_the_test_part_of_another_distribution_gives_a_validation_set_of_its_own() -> None:
    other = _vectors(40)
    source = _vectors(test_inputs=other.inputs, test_targets=other.targets, shifted_test=True)
    bundle = finish(source)
    assert bundle.target_val is not None
    assert sorted(_rows(bundle, "target_val") + _rows(bundle, "test")) == list(range(40))
    assert torch.bincount(bundle.target_val.targets).tolist() == [5, 5, 5, 5]


def test_groups_stay_together_also_under_a_limit() -> None:
    groups = torch.arange(200) // 10
    bundle = finish(_vectors(groups=groups), limit=60, classes=[0, 1, 2])
    owners = [{row // 10 for row in _rows(bundle, name)} for name in ("train", "val", "test")]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_time_order_is_contiguous_and_a_limit_keeps_what_is_next_to_the_border() -> None:
    bundle = finish(_vectors(ordered=True))
    assert _all_rows(bundle) == list(range(200))
    small = finish(_vectors(ordered=True), limit=70)
    assert _rows(small, "train") == list(range(70, 140))
    assert _rows(small, "val") == list(range(140, 150))
    assert _rows(small, "test") == list(range(160, 200))


def test_the_later_half_of_an_ordered_shifted_test_stays_the_test() -> None:
    other = _vectors(40)
    source = _vectors(ordered=True, test_inputs=other.inputs, test_targets=other.targets, shifted_test=True)
    bundle = finish(source)
    assert _rows(bundle, "target_val") == list(range(20))
    assert _rows(bundle, "test") == list(range(20, 40))


def test_images_are_resized_once_and_stay_bytes() -> None:
    bundle = finish(_images(size=8), image_size=4)
    assert bundle.task.input_shape == (3, 4, 4)
    assert _stored(bundle, "val").inputs[0].shape[1:] == (3, 4, 4)
    assert _stored(bundle, "train").inputs[0].dtype == torch.uint8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
def test_images_of_any_number_can_be_resized(dtype: torch.dtype) -> None:
    source = replace(_images(), inputs=(_images().inputs[0].to(dtype),), unit=1.0)
    assert _stored(finish(source, image_size=5), "train").inputs[0].dtype == torch.float32


def test_resizing_to_the_half_weighs_the_pixels_around_by_a_triangle() -> None:
    images = torch.randint(0, 256, (3, 1, 8, 8), generator=_draws()).to(torch.uint8)
    triangle = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8  # a bilinear kernel that is twice as wide, at half pixels
    expected = F.conv2d(images[:, :, 1:7, 1:7].float(), (triangle[:, None] * triangle)[None, None], stride=2)
    torch.testing.assert_close(resize_images(images, 4)[:, :, 1:3, 1:3].float(), expected, atol=0.51, rtol=0)


def test_few_grey_levels_are_stretched_to_a_byte_and_the_values_stay_the_same() -> None:
    flat = torch.full((2, 1, 8, 8), 4, dtype=torch.uint8)
    assert resize_images(flat, 4, unit=16.0).unique().tolist() == [64]
    levels = torch.randint(0, 17, (60, 1, 8, 8), generator=_draws()).to(torch.uint8)
    task = Task("classification", "image", (1, 8, 8), 2)
    source = Source("digits", task, (levels,), torch.arange(60) % 2, standardize="none", unit=16.0)
    x = finish(source, image_size=16).train.gather(torch.arange(5)).inputs[0]
    assert float(x.min()) >= 0.0
    assert 0.5 < float(x.max()) <= 1.0


def test_settings_are_refused_before_anything_is_computed() -> None:
    with pytest.raises(ConfigError) as caught:
        finish(_vectors(), limit=1, image_size=4, test_fraction=-0.5)
    assert len(caught.value.problems) == 3


def test_classes_that_leave_no_examples_are_refused() -> None:
    source = _vectors(20, targets=torch.arange(20) % 2)
    with pytest.raises(DataError):
        finish(source, classes=[2, 3])


def test_too_few_examples_of_a_class_never_give_an_empty_split() -> None:
    with pytest.raises(DataError, match="no class can spare an example"):
        finish(_vectors(8, classes=8))
