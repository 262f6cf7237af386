from __future__ import annotations

import pytest
import torch

from mlkit.errors import DataError, ModelError
from mlkit.metrics.classes import is_stray, labels_out_of_range, logits_and_classes

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.5, 0.2]])


@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([0, 2]),
        torch.tensor([[0], [2]]),
        torch.tensor([0, 2], dtype=torch.uint8),
        torch.tensor([0, 2], dtype=torch.int32),
        torch.tensor([[0.7, 0.1, 0.2], [0.0, 0.4, 0.6]]),
        torch.tensor([[1, 0, 0], [0, 0, 1]]),
    ],
)
def test_classes_are_read_from_indices_columns_and_probabilities(target: torch.Tensor) -> None:
    logits, classes = logits_and_classes(LOGITS, target)
    assert torch.equal(logits, LOGITS)
    assert classes.dtype == torch.int64
    assert classes.tolist() == [0, 2]


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize(
    "target",
    [
        torch.tensor([0, 1, 1]),
        torch.tensor([[0], [1], [1]]),
        torch.tensor([False, True, True]),
        torch.tensor([0.0, 1.0, 1.0]),
        torch.tensor([0.3, 0.7, 0.6]),
        torch.tensor([[0.7, 0.3], [0.3, 0.7], [0.4, 0.6]]),
    ],
)
def test_one_logit_stands_for_two(shape: tuple[int, ...], target: torch.Tensor) -> None:
    logits, classes = logits_and_classes(torch.tensor([-2.0, 0.0, 3.0]).reshape(shape), target)
    assert logits.tolist() == [[0.0, -2.0], [0.0, 0.0], [0.0, 3.0]]
    assert classes.tolist() == [0, 1, 1]


@pytest.mark.parametrize("shape", [(2, 3, 4), (), (2, 3, 4, 4)])
def test_an_output_that_is_no_logits_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError) as caught:
        logits_and_classes(torch.zeros(shape), torch.zeros(2, dtype=torch.long))
    (problem,) = caught.value.problems
    assert problem.what == "the model's output is not logits of classes"
    assert problem.received == f"output {shape}"
    assert problem.allowed == "(N, C), or one logit (N,) or (N, 1) for two classes"


@pytest.mark.parametrize(
    "target",
    [
        torch.zeros(1, dtype=torch.long),  # would broadcast
        torch.zeros(3, dtype=torch.long),
        torch.zeros(2, 2),
        torch.zeros(2, 3, 1),
        torch.tensor([0.0, 2.0]),  # classes as floats cannot be told from probabilities
    ],
)
def test_targets_that_cannot_be_classes_are_refused(target: torch.Tensor) -> None:
    with pytest.raises(DataError) as caught:
        logits_and_classes(LOGITS, target)
    (problem,) = caught.value.problems
    assert problem.what == "targets that are not classes"
    assert problem.received == f"shape {tuple(target.shape)}, {target.dtype}"
    assert problem.allowed == "class indices (2,) as int64, or probabilities (2, 3) as floats"
    assert problem.todo == "targets.squeeze(-1).long() turns a column of classes into indices"


def test_a_label_is_stray_unless_it_is_a_class_or_marked() -> None:
    assert is_stray(torch.tensor([0, 2, 3, -1, -100, 99]), 3).tolist() == [False, False, True, True, False, True]


def test_the_error_for_stray_labels_says_what_is_allowed() -> None:
    (problem,) = labels_out_of_range("labels from 0 to 3", 3).problems
    assert problem.what == "labels out of range"
    assert problem.received == "labels from 0 to 3"
    assert problem.allowed == "0 to 2, as the model has 3 outputs; -100 for what does not count"
    assert problem.todo is not None
    assert "number the classes from 0" in problem.todo
