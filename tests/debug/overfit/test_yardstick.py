from __future__ import annotations

import math

import pytest
import torch

from mlkit.debug.overfit.yardstick import yardstick_for


def test_classes_are_judged_by_the_largest_output_whatever_space_it_is_in() -> None:
    targets = torch.tensor([0, 1, 2, 2])
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    stick = yardstick_for(logits, targets)
    assert stick is not None
    assert stick.kind == "classes"
    assert stick.constant == 0.5
    assert stick.shares == (0.5, 0.25, 0.25)
    scores = {stick.score(one, targets) for one in (logits, logits.softmax(1), logits.log_softmax(1), 3 * logits + 7)}
    assert len(scores) == 1


@pytest.mark.parametrize("layout", ["last", "second"])
def test_next_tokens_are_judged_in_both_layouts_and_padding_does_not_count(layout: str) -> None:
    targets = torch.tensor([[1, 2, -100], [0, -100, -100]])
    right = torch.nn.functional.one_hot(targets.clamp_min(0), 4).float()
    output = right if layout == "last" else right.transpose(1, 2)
    stick = yardstick_for(output, targets)
    assert stick is not None
    assert stick.score(output, targets) == 1.0
    assert stick.constant == pytest.approx(1 / 3)


def test_yes_or_no_takes_logits_and_probabilities_and_either_shape() -> None:
    targets = torch.tensor([1.0, 0.0, 1.0, 1.0])
    logits = torch.tensor([[2.0], [-1.0], [0.5], [-0.5]])
    stick = yardstick_for(logits, targets)
    assert stick is not None
    assert stick.kind == "yes or no"
    assert stick.constant == 0.75
    assert stick.shares == (0.25, 0.75)
    assert stick.score(logits, targets) == stick.score(logits.sigmoid(), targets) == 0.75


def test_numbers_are_judged_by_r_squared() -> None:
    targets = torch.tensor([[1.0], [2.0], [4.0]])
    stick = yardstick_for(targets, targets)
    assert stick is not None
    assert stick.score(targets, targets) == 1.0
    assert stick.score(torch.full((3, 1), 7 / 3), targets) == pytest.approx(0.0, abs=1e-6)
    assert stick.score(targets.flatten(), targets) == 1.0  # a row against a column is no reason to fail
    assert stick.share(0.25) == 0.25


def test_soft_labels_are_classes() -> None:
    targets = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    stick = yardstick_for(torch.zeros(2, 2), targets)
    assert stick is not None
    assert stick.kind == "classes"
    assert stick.score(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), targets) == 1.0


def test_what_is_not_finite_has_no_score_and_what_does_not_match_no_yardstick() -> None:
    targets = torch.tensor([0, 1])
    stick = yardstick_for((torch.zeros(()), {"logits": torch.zeros(2, 2)}), targets)
    assert stick is not None
    assert math.isnan(stick.score(torch.tensor([[math.nan, 0.0], [0.0, 0.0]]), targets))
    assert yardstick_for(torch.zeros(3, 7), torch.zeros(2)) is None
    assert yardstick_for(torch.zeros(2, 5), torch.randn(2, 7)) is None
