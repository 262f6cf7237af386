from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from mlkit.data.checks import check_settings, check_source, check_train, class_indices
from mlkit.data.source import Source
from mlkit.errors import ConfigError, DataError
from mlkit.task import Task

NAN, INF = float("nan"), float("inf")
VECTOR = Task("classification", "vector", (2,), 3)


def _vectors(**changes: Any) -> Source:
    return replace(Source("toy", VECTOR, (torch.zeros(6, 2),), torch.arange(6) % 3), **changes)


def _with(x: Tensor, spot: tuple[int, ...], value: float) -> Tensor:
    x = x.clone()
    x[spot] = value
    return x


def _complaint(source: Source) -> str:
    with pytest.raises(DataError) as caught:
        check_source(source)
    return str(caught.value)


def test_sound_content_passes() -> None:
    check_source(_vectors())


@pytest.mark.parametrize(
    ("kind", "shape", "spot", "place"),
    [
        ("vector", (6, 2), (4, 1), "row 4, column 1"),
        ("table", (6, 2), (4, 1), "row 4, column 1"),
        ("image", (6, 1, 3, 3), (2, 0, 1, 2), "image 2, channel 0, row 1, column 2"),
        ("series", (6, 5, 2), (3, 4, 1), "series 3, step 4, channel 1"),
    ],
)
@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_value_that_is_not_finite_is_named_by_its_place(
    kind: Any, shape: tuple[int, ...], spot: tuple[int, ...], place: str, value: float
) -> None:
    x = _with(torch.zeros(shape), spot, value)
    text = _complaint(_vectors(task=replace(VECTOR, input_kind=kind), inputs=(x,)))
    assert text.splitlines() == [
        "toy: a value is not finite",
        f"  received: {value} at {place}",
        "  allowed:  finite numbers",
        "  to do:    repair or leave out these examples",
    ]


def test_further_bad_values_are_counted() -> None:
    x = torch.zeros(6, 2)
    x[1:4] = NAN
    assert "nan at row 1, column 0 and 5 more" in _complaint(_vectors(inputs=(x,)))


def test_nan_is_a_missing_value_where_features_are_standardised_and_infinity_is_not() -> None:
    check_source(_vectors(inputs=(_with(torch.zeros(6, 2), (0, 0), NAN),), standardize="feature"))
    text = _complaint(_vectors(inputs=(_with(torch.zeros(6, 2), (0, 1), INF),), standardize="feature"))
    assert "inf at row 0, column 1" in text
    assert "(NaN marks a missing value)" in text


def test_what_lies_beyond_the_length_of_a_series_is_not_looked_at() -> None:
    task = Task("classification", "series", (4, 1), 3, has_lengths=True)
    x = torch.zeros(6, 4, 1)
    x[:, 2:] = NAN
    check_source(_vectors(task=task, inputs=(x, torch.full((6,), 2))))
    assert "nan at series 0, step 2, channel 0" in _complaint(_vectors(task=task, inputs=(x, torch.full((6,), 3))))


@pytest.mark.parametrize("length", [0, 5, -1])
def test_a_length_outside_the_series_is_named(length: int) -> None:
    task = Task("classification", "series", (4, 1), 3, has_lengths=True)
    lengths = torch.tensor([4, 4, length, 4, 4, 4])
    text = _complaint(_vectors(task=task, inputs=(torch.zeros(6, 4, 1), lengths)))
    assert "wrong length in row 2" in text
    assert "1 to 4" in text


def test_lengths_are_whole_numbers_one_a_row() -> None:
    task = Task("classification", "series", (4, 1), 3, has_lengths=True)
    for lengths in (torch.full((6,), 2.0), torch.ones(6, 1, dtype=torch.long)):
        assert "lengths must be whole numbers" in _complaint(
            _vectors(task=task, inputs=(torch.zeros(6, 4, 1), lengths))
        )
    assert "lengths are missing" in _complaint(_vectors(task=task, inputs=(torch.zeros(6, 4, 1),)))


@pytest.mark.parametrize("label", [3, -1, 255])
def test_a_label_out_of_range_is_named_by_its_row(label: int) -> None:
    text = _complaint(_vectors(targets=torch.tensor([0, 1, 2, label, 1, 0])))
    assert text.splitlines() == [
        "toy: label out of range",
        f"  received: {label} in row 3",
        "  allowed:  0 to 2",
        "  to do:    number the classes from 0, or correct the label",
    ]


def test_labels_that_are_floats_or_one_hot_are_refused() -> None:
    assert "classes must be whole numbers" in _complaint(_vectors(targets=torch.zeros(6)))
    assert "wrong shape of targets" in _complaint(_vectors(targets=torch.zeros(6, 3, dtype=torch.long)))


def test_a_regression_target_that_is_not_finite_is_named() -> None:
    source = _vectors(
        task=replace(VECTOR, kind="regression", num_outputs=2), targets=_with(torch.zeros(6, 2), (5, 1), NAN)
    )
    assert "nan at row 5, column 1" in _complaint(source)


def test_tokens_outside_the_vocabulary_are_named_and_ignored_targets_are_not() -> None:
    task = Task("next_token", "tokens", (3,), 4, vocab_size=4)
    x, y = torch.zeros(6, 3, dtype=torch.long), torch.zeros(6, 3, dtype=torch.long)
    check_source(_vectors(task=task, inputs=(x,), targets=_with(y, (0, 0), -100)))
    assert "4 at row 2, position 1" in _complaint(_vectors(task=task, inputs=(_with(x, (2, 1), 4),), targets=y))
    assert "7 in row 2, position 1" in _complaint(_vectors(task=task, inputs=(x,), targets=_with(y, (2, 1), 7)))
    assert "one target a token" in _complaint(_vectors(task=task, inputs=(x,), targets=y[:, :2]))


def test_categories_are_whole_numbers_of_0_or_more() -> None:
    task = replace(VECTOR, input_kind="table")
    codes = torch.zeros(6, 2, dtype=torch.long)
    check_source(_vectors(task=task, inputs=(torch.zeros(6, 2), codes)))
    negative = _complaint(_vectors(task=task, inputs=(torch.zeros(6, 2), _with(codes, (4, 1), -1))))
    assert "negative category code in row 4, column 1" in negative
    assert "category codes must be whole" in _complaint(_vectors(task=task, inputs=(torch.zeros(6, 2), codes.float())))


@pytest.mark.parametrize(
    ("kind", "x", "expected"),
    [
        ("image", torch.zeros(6, 3, 3), "(N, C, H, W)"),
        ("vector", torch.zeros(6), "(N, F)"),
        ("series", torch.zeros(6, 3), "(N, T, C)"),
        ("tokens", torch.zeros(6, 3, 1, dtype=torch.long), "(N, T)"),
        ("tokens", torch.zeros(6, 3), "whole numbers"),
        ("vector", torch.zeros(6, 2, dtype=torch.complex64), "floats or whole numbers"),
    ],
)
def test_shapes_and_dtypes_that_do_not_fit_the_kind_are_refused(kind: Any, x: Tensor, expected: str) -> None:
    assert expected in _complaint(_vectors(task=replace(VECTOR, input_kind=kind), inputs=(x,)))


def test_official_parts_are_checked_alike_and_named() -> None:
    whole = _vectors(test_inputs=(torch.zeros(2, 2),), test_targets=torch.tensor([0, 1]))
    check_source(whole)
    assert "test part, label out of range" in _complaint(replace(whole, test_targets=torch.tensor([0, 9])))
    assert "other shapes" in _complaint(replace(whole, test_inputs=(torch.zeros(2, 3),)))
    assert "needs both inputs and targets" in _complaint(replace(whole, test_targets=None))


def test_bytes_in_one_part_and_floats_in_another_are_refused() -> None:
    task = Task("classification", "image", (1, 2, 2), 3)
    source = _vectors(
        task=task,
        inputs=(torch.zeros(6, 1, 2, 2, dtype=torch.uint8),),
        test_inputs=(torch.rand(2, 1, 2, 2),),
        test_targets=torch.tensor([0, 1]),
    )
    text = _complaint(source)
    assert "the test part has another dtype" in text
    assert "torch.float32" in text
    assert "torch.uint8" in text


def test_all_mistakes_are_told_at_once() -> None:
    text = _complaint(
        _vectors(
            inputs=(_with(torch.zeros(6, 2), (1, 1), INF),), targets=torch.full((6,), 8), groups=torch.zeros(5).long()
        )
    )
    assert all(part in text for part in ("not finite", "label out of range", "one group is needed"))


def test_no_examples_and_different_lengths_are_refused() -> None:
    assert "no examples" in _complaint(_vectors(inputs=(torch.zeros(0, 2),), targets=torch.zeros(0).long()))
    assert "5 rows in input 0, 6 targets" in _complaint(_vectors(inputs=(torch.zeros(5, 2),)))


def test_settings_that_cannot_be_meant_are_refused_together() -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(VECTOR, limit=1, image_size=8, val_fraction=0.0, test_fraction=-0.1)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert all(f"data.{name}" in text for name in ("limit", "image_size", "val_fraction", "test_fraction"))
    with pytest.raises(ConfigError, match=r"data\.image_size is too small"):
        check_settings(Task("classification", "image", (1, 8, 8), 3), limit=None, image_size=0, val_fraction=0.1)


def test_a_training_part_without_anything_to_learn_is_refused() -> None:
    with pytest.raises(DataError, match="too few training examples"):
        check_train("toy", VECTOR, torch.tensor([0]))
    with pytest.raises(DataError, match="all training examples are of one class") as caught:
        check_train("toy", VECTOR, torch.tensor([2, 2]))
    assert "class 2 only" in str(caught.value)
    check_train("toy", replace(VECTOR, kind="regression"), torch.ones(2, 1))


def test_classes_are_found_by_name_index_and_written_index() -> None:
    task = replace(VECTOR, class_names=("ant", "bee", "cat"))
    assert class_indices(task, ["cat", 0]) == [2, 0]
    assert class_indices(task, ["1", "2"]) == [1, 2]
    assert class_indices(VECTOR, [2, 1]) == [2, 1]
    assert class_indices(replace(VECTOR, class_names=("7", "1", "0")), ["0", "7"]) == [
        2,
        0,
    ]  # a name goes before an index


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["bea", 0], "did you mean 'bee'?"),
        ([3, 0], "unknown class"),
        ([-1, 0], "unknown class"),
        ([0, "ant"], "named twice"),
        ([0], "two classes or more"),
        ([], "two classes or more"),
    ],
)
def test_classes_that_cannot_be_meant_are_refused(classes: list[int | str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        class_indices(replace(VECTOR, class_names=("ant", "bee", "cat")), classes)
    assert message in str(caught.value)


def test_classes_are_for_classification() -> None:
    with pytest.raises(ConfigError, match=r"data\.classes is for classification"):
        class_indices(replace(VECTOR, kind="regression"), [0, 1])
