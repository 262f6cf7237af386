from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mlkit.data.partition import partition, subset
from mlkit.errors import ConfigError, DataError


def _labels(seed: int, n: int, classes: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    weights = torch.rand(classes, generator=stream) + 0.02
    return torch.multinomial(weights, n, replacement=True, generator=stream)


def _covers(parts: Sequence[Tensor], n: int) -> bool:
    return torch.cat(list(parts)).sort().values.tolist() == list(range(n))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fractions", [(0.1,), (0.1, 0.2), (0.4, 0.3), (0.0, 0.5)])
def test_parts_are_disjoint_cover_everything_and_have_their_sizes(seed: int, fractions: tuple[float, ...]) -> None:
    for labels in (None, _labels(seed, 503, 7)):
        parts = partition(503, fractions, labels=labels, seed=seed)
        assert _covers(parts, 503)
        assert [len(part) for part in parts[1:]] == [round(503 * fraction) for fraction in fractions]
        assert all(torch.equal(part, part.sort().values) for part in parts)


@pytest.mark.parametrize("seed", range(20))
def test_every_class_is_in_every_part_in_proportion_within_one_example(seed: int) -> None:
    labels = torch.cat([_labels(seed, 400, 6), torch.arange(6).repeat(12)])  # no class too rare to give its share
    counts = torch.bincount(labels).double()
    parts = partition(len(labels), [0.1, 0.25], labels=labels, seed=seed)
    for part in parts[1:]:
        exact = counts * len(part) / len(labels)
        assert bool(((torch.bincount(labels[part], minlength=6) - exact).abs() < 1).all())


@pytest.mark.parametrize("seed", range(20))
def test_no_class_is_ever_missing_from_the_training_part(seed: int) -> None:
    labels = torch.cat([_labels(seed, 60, 4), torch.tensor([7, 8, 8, 9, 9, 9])])
    train, _, _ = partition(len(labels), [0.3, 0.3], labels=labels, seed=seed)
    assert set(labels[train].tolist()) == set(labels.tolist())


def test_labels_need_not_be_numbered_from_zero() -> None:
    labels = torch.tensor([-5, 1_000_000] * 10)
    _, val = partition(20, [0.2], labels=labels)
    assert labels[val].sort().values.tolist() == [-5, -5, 1_000_000, 1_000_000]


def test_the_choice_is_a_pure_function_of_seed_and_purpose() -> None:
    labels = _labels(0, 200, 3)
    once = partition(200, [0.2], labels=labels, seed=3)
    torch.rand(7)
    assert torch.equal(once[1], partition(200, [0.2], labels=labels, seed=3)[1])
    assert not torch.equal(once[1], partition(200, [0.2], labels=labels, seed=4)[1])
    assert not torch.equal(once[1], partition(200, [0.2], labels=labels, seed=3, purpose="other")[1])


def test_the_global_generator_is_not_moved() -> None:
    before = torch.get_rng_state()
    partition(50, [0.2], groups=torch.arange(50) // 5)
    partition(50, [0.2])
    subset(50, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_every_example_is_held_out_about_as_often_as_its_share_says() -> None:
    held = torch.zeros(40)
    for seed in range(400):
        held[partition(40, [0.25], seed=seed)[1]] += 1
    # Binomial(400, 1/4): mean 100, deviation 8.7; 40 draws stay within 4 deviations.
    assert float(held.min()) > 65
    assert float(held.max()) < 135


@pytest.mark.parametrize("seed", range(10))
def test_groups_are_never_taken_apart(seed: int) -> None:
    groups = _labels(seed, 300, 25)
    parts = partition(300, [0.2, 0.2], groups=groups, seed=seed)
    assert _covers(parts, 300)
    owners = [set(groups[part].tolist()) for part in parts]
    assert all(owners)
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_parts_of_equal_groups_have_their_share_exactly() -> None:
    parts = partition(200, [0.1, 0.3], groups=torch.arange(200) // 5, seed=1)
    assert [len(part) for part in parts] == [120, 20, 60]


def test_a_group_larger_than_the_part_is_not_taken_while_there_are_smaller_ones() -> None:
    groups = torch.tensor([0] * 90 + [1] * 5 + [2] * 5)
    for seed in range(10):
        _, val = partition(100, [0.05], groups=groups, seed=seed)
        assert len(val) == 5


def test_time_order_is_kept_and_the_parts_follow_one_another() -> None:
    train, val, test = partition(100, [0.1, 0.2], ordered=True, seed=5)
    assert torch.cat([train, val, test]).tolist() == list(range(100))
    assert (len(train), len(val), len(test)) == (70, 10, 20)


@pytest.mark.parametrize("fractions", [(1.0,), (-0.1,), (0.6, 0.5), (float("nan"),)])
def test_shares_that_leave_nothing_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="leave nothing to train on") as caught:
        partition(10, fractions)
    assert "set data.val_fraction and data.test_fraction" in str(caught.value)


def test_too_few_examples_or_groups_are_refused() -> None:
    with pytest.raises(DataError, match="too few examples to split"):
        partition(2, [0.1, 0.1])
    with pytest.raises(DataError, match="too few groups") as caught:
        partition(9, [0.1, 0.1], groups=torch.arange(9) // 5)
    assert "2 groups" in str(caught.value)
    assert "at least 3" in str(caught.value)


def test_a_part_is_never_silently_empty() -> None:
    with pytest.raises(DataError, match="no class can spare an example") as caught:
        partition(5, [0.2], labels=torch.arange(5))
    assert "5 examples of 5 classes" in str(caught.value)


def test_groups_and_time_order_together_are_refused() -> None:
    with pytest.raises(DataError, match="groups and time order"):
        partition(10, [0.1], groups=torch.arange(10), ordered=True)


@pytest.mark.parametrize("size", [1, 3, 5, 17, 250, 499])
def test_a_subset_has_the_size_asked_for_and_classes_in_proportion(size: int) -> None:
    labels = _labels(2, 500, 5)
    chosen = subset(500, size, labels=labels)
    assert len(chosen) == size
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    counts = torch.bincount(labels[chosen], minlength=5)
    assert bool(((counts - torch.bincount(labels).double() * size / 500).abs() <= 1).all())


def test_rare_classes_stay_where_the_size_allows() -> None:
    labels = torch.tensor([0] * 996 + [1, 2, 3, 4])
    assert set(labels[subset(1000, 5, labels=labels)].tolist()) == {0, 1, 2, 3, 4}
    assert len(subset(1000, 3, labels=labels)) == 3


def test_a_subset_as_large_as_the_set_is_the_set() -> None:
    assert subset(4, 9).tolist() == [0, 1, 2, 3]
