from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from mlkit.data.describe import check_labels, covering, describe, known_labels
from mlkit.errors import DataError
from mlkit.task import Task

FLOATS, CLASSES = torch.zeros(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
TOKENS = torch.tensor([[0, 1, 9], [3, 0, 0]])


@pytest.mark.parametrize(
    ("inputs", "targets", "expected"),
    [
        ((FLOATS,), CLASSES, Task("classification", "vector", (4,), 3)),
        ((FLOATS,), CLASSES[:, None], Task("classification", "vector", (4,), 3)),
        ((FLOATS,), CLASSES.float(), Task("regression", "vector", (4,), 1)),
        ((FLOATS,), torch.zeros(6, 5), Task("regression", "vector", (4,), 5)),
        ((torch.zeros(6, 3, 8, 8),), CLASSES, Task("classification", "image", (3, 8, 8), 3)),
        ((torch.zeros(6, 8, 8, dtype=torch.uint8),), CLASSES, Task("classification", "image", (8, 8), 3)),
        ((torch.zeros(6, 8, 2),), CLASSES, Task("classification", "series", (8, 2), 3)),
        (
            (torch.zeros(6, 8, 2), torch.full((6,), 5)),
            CLASSES,
            Task("classification", "series", (8, 2), 3, has_lengths=True),
        ),
        ((TOKENS,), torch.tensor([1, 0]), Task("classification", "tokens", (3,), 2, vocab_size=10)),
        ((TOKENS,), torch.tensor([[1], [0]]), Task("classification", "tokens", (3,), 2, vocab_size=10)),
        ((TOKENS,), TOKENS.flip(0), Task("next_token", "tokens", (3,), 10, vocab_size=10)),
        ((TOKENS,), torch.full((2, 3), 14), Task("next_token", "tokens", (3,), 15, vocab_size=15)),
        ((TOKENS,), torch.zeros(2), Task("regression", "tokens", (3,), 1, vocab_size=10)),
        (
            (FLOATS, torch.tensor([[0, 4]] * 6)),
            CLASSES,
            Task("classification", "table", (4,), 3, cardinalities=(1, 5)),
        ),
        (
            (FLOATS, torch.tensor([[0, 4]] * 6)),
            torch.zeros(6),
            Task("regression", "table", (4,), 1, cardinalities=(1, 5)),
        ),
        ((FLOATS, FLOATS), CLASSES, Task("classification", "other", (4,), 3)),
        ({"a": FLOATS, "b": FLOATS}, CLASSES, Task("classification", "other", (4,), 3)),
        ((torch.zeros(6),), CLASSES, Task("classification", "other", (), 3)),
    ],
)
def test_shapes_and_dtypes_say_what_the_task_is(inputs: Any, targets: Tensor, expected: Task) -> None:
    assert describe(inputs, targets) == expected


def test_tokens_with_a_mask_by_name_are_a_next_token_task() -> None:
    task = describe({"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}, TOKENS)
    assert (task.kind, task.num_outputs) == ("next_token", 10)


def test_a_class_a_step_of_a_series_is_a_next_token_task() -> None:
    task = describe((torch.zeros(2, 3, 5),), torch.tensor([[0, 1, 2], [0, 0, 0]]))
    assert (task.kind, task.input_kind, task.num_outputs, task.vocab_size) == ("next_token", "series", 3, None)


def test_the_number_of_classes_covers_all_targets_and_names() -> None:
    assert describe((FLOATS,), CLASSES, others=[torch.tensor([7])]).num_outputs == 8
    named = describe((FLOATS,), CLASSES, class_names=("a", "b", "c", "d"))
    assert (named.num_outputs, named.class_names) == (4, ("a", "b", "c", "d"))
    assert describe((FLOATS,), CLASSES, class_names=("a", "b")).class_names == ()  # too few to be the names


def test_several_labels_an_example_are_no_known_kind() -> None:
    with pytest.raises(DataError, match="of no known kind") as caught:
        describe((FLOATS,), torch.zeros(6, 5, dtype=torch.long))
    assert "targets of torch.int64 and shape (6, 5), inputs of shape (6, 4)" in str(caught.value)
    assert "give them as floats" in str(caught.value)
    with pytest.raises(DataError, match="of no known kind"):
        describe((FLOATS,), torch.tensor(3))


def test_classes_below_0_are_named_by_their_row_and_ignored_ones_are_not() -> None:
    check_labels(torch.tensor([0, -100, 5]))
    check_labels(torch.tensor([-1.0]))
    with pytest.raises(DataError, match="label out of range") as caught:
        check_labels(torch.tensor([1, 1, -1]))
    assert "-1 in row 2" in str(caught.value)
    assert "number the classes from 0" in str(caught.value)


def test_a_task_covers_those_of_all_batches() -> None:
    a = Task("classification", "table", (2,), 3, cardinalities=(2, 9), vocab_size=None)
    b = replace(a, num_outputs=5, cardinalities=(4, 1))
    assert covering([a, b]) == replace(a, num_outputs=5, cardinalities=(4, 9))
    tokens = Task("classification", "tokens", (2,), 2, vocab_size=5)
    assert covering(iter([tokens, replace(tokens, vocab_size=8), tokens])).vocab_size == 8


class _Labelled:
    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("attributes", "highest"),
    [
        ({"classes": ["a", "b", "c"]}, 2),
        ({"targets": [0, 4, 1]}, 4),
        ({"targets": torch.tensor([0, 4])}, 4),
        ({"labels": np.array([3, 0], dtype=np.uint8)}, 3),
        ({"classes": [], "labels": [1, 0]}, 1),
    ],
)
def test_what_a_data_set_says_of_its_labels_is_taken(attributes: dict[str, object], highest: int) -> None:
    labels, _ = known_labels(_Labelled(**attributes))
    assert labels is not None
    assert int(labels.max()) == highest


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"targets": [0.5, 1.0]},
        {"targets": ["a", "b"]},
        {"targets": [{"boxes": 1}, {}]},
        {"targets": [[1], [1, 2]]},
        {"targets": [0, 1], "target_transform": lambda label: label + 5},
    ],
)
def test_what_says_nothing_of_the_labels_that_are_read_is_not_taken(attributes: dict[str, object]) -> None:
    assert known_labels(_Labelled(**attributes)) == (None, ())


def test_class_names_are_taken_where_they_are_text() -> None:
    assert known_labels(_Labelled(classes=["cat", "dog"]))[1] == ("cat", "dog")
    assert known_labels(_Labelled(classes=[0, 1]))[1] == ()


def test_of_a_subset_only_its_own_rows_count() -> None:
    dataset: Any = TensorDataset(torch.zeros(5, 1), torch.tensor([0, 1, 2, 3, 4]))
    dataset.targets, dataset.classes = [0, 1, 2, 3, 4], list("abcde")
    labels, names = known_labels(Subset(Subset(dataset, [0, 1, 3, 4]), [2, 0]))
    assert labels is not None
    assert labels.tolist() == [3, 0]
    assert names == ()
