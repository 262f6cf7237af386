from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from mlkit.search.dimensions import choice, fixed, integer, log, uniform
from mlkit.search.kernel import Kernel, children, elite_size, everything, new_ones
from mlkit.search.space import Space, key

NUMBERS = Space({"a": uniform(0.0, 1.0), "b": uniform(0.0, 1.0)})
WORDS = Space({"a": choice("u", "v", "w", "x"), "b": choice("u", "v")})
COUNT = 4000


def drawn(
    space: Space, parents: np.ndarray, kernel: Kernel, ages: tuple[int, ...] = (0, 0), seed: int = 0
) -> np.ndarray:
    never = itertools.repeat(np.full(len(space.names), np.nan))
    rng = np.random.default_rng(seed)
    stream = children(space, parents, kernel=kernel, ages=np.array(ages), rng=rng, fresh=never)
    return np.array(list(itertools.islice(stream, COUNT)))


def test_an_eighth_are_parents_and_at_least_four() -> None:
    assert [elite_size(count) for count in (0, 1, 3, 4, 31, 32, 40, 80)] == [0, 1, 3, 4, 4, 4, 5, 10]


@pytest.mark.parametrize("age", [2, 4, 8])
def test_moves_shrink_with_the_age_of_each_hyper_parameter(age: int) -> None:
    kernel = Kernel(jitter=0.2, shrink=0.6, explore=0.0)
    points = drawn(NUMBERS, np.array([[0.5, 0.5]]), kernel, ages=(age, 2))
    # Standard error of a standard deviation: 1 / sqrt(2 n), here 1.1 %.
    assert points.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.01)
    assert points.std(axis=0) == pytest.approx([0.2 * 0.6**age, 0.2 * 0.6**2], rel=0.05)


def test_children_stay_in_the_cube() -> None:
    points = drawn(NUMBERS, np.array([[0.0, 1.0]]), Kernel(jitter=2.0, explore=0.0))
    assert points.min() == 0.0
    assert points.max() == 1.0


def test_choices_without_order_are_drawn_anew_with_their_probability() -> None:
    parent = np.array([[0.125, 0.25]])
    points = drawn(WORDS, parent, Kernel(flip=0.5, shrink=0.5, explore=0.0), ages=(0, 2))
    anew = (points != parent).mean(axis=0)
    assert anew == pytest.approx([0.5, 0.125], abs=4 * np.sqrt(0.25 / COUNT))
    moved = points[points[:, 0] != parent[0, 0], 0]
    cells = np.bincount((moved * 4).astype(int), minlength=4) / len(moved)
    assert cells == pytest.approx([0.25] * 4, abs=4 * np.sqrt(0.19 / len(moved)))


def test_better_parents_have_more_children() -> None:
    parents = np.array([[0.2, 0.2], [0.4, 0.4], [0.6, 0.6], [0.8, 0.8]])
    points = drawn(NUMBERS, parents, Kernel(jitter=0.0, mix=0.0, explore=0.0))
    share = [(points[:, 0] == parent[0]).mean() for parent in parents]
    assert share == pytest.approx([0.4, 0.3, 0.2, 0.1], abs=4 * np.sqrt(0.24 / COUNT))
    assert (points[:, 0] == points[:, 1]).all()


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_values_of_two_parents_are_mixed(mix: float) -> None:
    parents = np.array([[0.2, 0.2], [0.8, 0.8]])
    points = drawn(NUMBERS, parents, Kernel(jitter=0.0, mix=mix, explore=0.0))
    # Two different parents: 2 x 2/3 x 1/3; half of those take one value of each.
    assert (points[:, 0] != points[:, 1]).mean() == pytest.approx(mix * 4 / 9 / 2, abs=4 * np.sqrt(0.18 / COUNT))


def test_a_share_comes_from_all_over() -> None:
    points = drawn(NUMBERS, np.array([[0.5, 0.5]]), Kernel(explore=0.2))
    assert np.isnan(points[:, 0]).mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / COUNT))


def test_parents_are_left_as_they_are() -> None:
    parents = np.array([[0.2, 0.3], [0.6, 0.1]])
    before = parents.copy()
    drawn(NUMBERS, parents, Kernel())
    np.testing.assert_array_equal(parents, before)


def random_points(seed: int, size: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    return (rng.random(size) for _ in itertools.count())


def test_nothing_is_proposed_twice() -> None:
    space = Space({"a": choice("x", "y", "z"), "b": integer(1, 4)})
    known = {key({"a": "x", "b": 1}), key({"a": "z", "b": 4})}
    found = new_ones(space, random_points(0, 2), 10, known)
    keys = [key(params) for params in found]
    assert len(set(keys)) == len(keys) == 10
    assert not known & set(keys)


def test_a_space_that_is_exhausted_gives_what_is_left() -> None:
    space = Space({"a": choice("x", "y"), "b": fixed(1)})
    assert len(new_ones(space, random_points(0, 2), 10, set())) == 2
    assert new_ones(space, random_points(0, 2), 10, {key({"a": v, "b": 1}) for v in "xy"}) == []


def test_the_order_of_the_points_is_kept() -> None:
    points = [np.array([0.25, 0.5]), np.array([0.25, 0.5]), np.array([0.75, 0.5]), np.array([0.1, 0.1])]
    assert new_ones(NUMBERS, iter(points), 2, set()) == [{"a": 0.25, "b": 0.5}, {"a": 0.75, "b": 0.5}]


def test_everything_is_every_combination_once() -> None:
    space = Space({"a": choice("x", "y"), "b": integer(0, 4, multiple=2), "c": fixed(True)})
    found = everything(space, limit=6)
    assert found is not None
    wanted = {(a, b) for a in "xy" for b in (0, 2, 4)}
    assert {(params["a"], params["b"]) for params in found} == wanted
    assert len(found) == 6
    assert everything(space, limit=5) is None
    assert everything(Space({"a": choice("x", "y"), "lr": log(1e-3, 1.0)}), limit=1000) is None
