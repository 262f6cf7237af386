from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from mlkit.search.halton import halton
from mlkit.search.surrogate import Surrogate, expected_improvement


def fitted(points: np.ndarray, losses: np.ndarray, ordered: tuple[bool, ...]) -> Surrogate:
    return Surrogate(points[np.argsort(losses)], np.array(ordered))


@pytest.mark.parametrize(("gap", "deviation"), [(0.0, 1.0), (1.3, 0.5), (-0.7, 2.0), (-3.0, 0.8)])
def test_the_expected_improvement_is_the_integral(gap: float, deviation: float) -> None:
    def improved(value: float) -> float:
        return max(gap - value, 0.0) * float(norm.pdf(value, scale=deviation))

    wanted, _ = quad(improved, -12 * deviation, 12 * deviation, points=[gap])
    found = expected_improvement(np.array([gap]), np.array([deviation]))[0]
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_no_candidate_is_chosen_twice_and_the_batch_begins_with_the_best() -> None:
    points = halton(40, 3, seed=0)
    model = fitted(points, ((points - 0.3) ** 2).sum(axis=1), (True,) * 3)
    candidates = halton(200, 3, seed=1)
    eight = model.choose(candidates, 8)
    assert len(set(eight)) == 8
    assert model.choose(candidates, 3) == eight[:3]
    assert model.choose(candidates, 200).__len__() == 200


@pytest.mark.parametrize("seed", range(3))
def test_it_chooses_near_the_minimum_of_what_it_has_seen(seed: int) -> None:
    points = halton(60, 2, seed=seed)
    loss = ((points - np.array([0.7, 0.2])) ** 2).sum(axis=1)
    model = fitted(points, loss, (True, True))
    candidates = halton(300, 2, seed=seed + 10)
    chosen = candidates[model.choose(candidates, 5)]
    assert np.linalg.norm(chosen - [0.7, 0.2], axis=1).max() < 0.25


def test_only_the_order_of_the_losses_counts() -> None:
    points = halton(30, 2, seed=0)
    loss = ((points - 0.4) ** 2).sum(axis=1)
    candidates = halton(100, 2, seed=1)
    plain = fitted(points, loss, (True, True)).choose(candidates, 6)
    assert fitted(points, np.exp(50 * loss), (True, True)).choose(candidates, 6) == plain


def test_dimensions_that_do_not_matter_get_long_lengths() -> None:
    points = halton(80, 3, seed=0)
    model = fitted(points, (points[:, 1] - 0.5) ** 2, (True,) * 3)
    scales = model._log_scales  # squared inverse lengths
    assert scales[1] > max(scales[0], scales[2]) + 2


def test_of_words_only_equality_counts() -> None:
    # Three words at 1/6, 1/2 and 5/6; the outer two are good, and the middle one tells nothing of them.
    words = np.array([1 / 6, 1 / 2, 5 / 6])
    points = np.column_stack([words[np.arange(30) % 3], halton(30, 1, seed=0)[:, 0]])
    loss = (np.arange(30) % 3 == 1) + 0.1 * (points[:, 1] - 0.5) ** 2
    model = fitted(points, loss, (False, True))
    candidates = np.column_stack([np.repeat(words, 10), np.tile(np.linspace(0.05, 0.95, 10), 3)])
    chosen = candidates[model.choose(candidates, 8), 0]
    assert set(chosen.tolist()) == {1 / 6, 5 / 6}
    distance = model._between(np.array([[1 / 6, 0.5]]), np.column_stack([words, [0.5] * 3]))
    assert distance[0, :, 0].tolist() == [0.0, 1.0, 1.0]


def test_a_running_trial_counts_as_one_that_was_just_chosen() -> None:
    points = halton(30, 2, seed=0)
    model = fitted(points, ((points - 0.5) ** 2).sum(axis=1), (True, True))
    candidates = halton(100, 2, seed=1)
    first, second, third = model.choose(candidates, 3)
    rest = np.delete(np.arange(100), [first, second])
    (next_one,) = model.choose(candidates[rest], 1, pending=candidates[[first, second]])
    assert rest[next_one] == third


def test_the_mean_ranks_new_points_as_their_losses_do() -> None:
    def loss(points: np.ndarray) -> np.ndarray:
        return np.sin(5 * points[:, 0]) + points[:, 1] ** 2

    points, new = halton(80, 2, seed=0), halton(100, 2, seed=1)
    model = fitted(points, loss(points), (True, True))
    order = model.choose(new, 100)
    assert spearmanr(np.argsort(order), loss(new)).statistic > 0.3  # exploring comes between
    assert loss(new)[order[:3]].mean() < np.quantile(loss(new), 0.1)


def test_many_trials_are_cut_to_the_best() -> None:
    points = halton(400, 2, seed=0)
    loss = ((points - 0.5) ** 2).sum(axis=1)
    order = np.argsort(loss)
    candidates = halton(50, 2, seed=1)
    whole = Surrogate(points[order], np.array([True, True]))
    best = Surrogate(points[order][:256], np.array([True, True]))
    assert whole.choose(candidates, 5) == best.choose(candidates, 5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_or_equal_trials_are_no_error(count: int) -> None:
    model = Surrogate(np.full((count, 2), 0.5), np.array([True, False]))
    chosen = model.choose(halton(20, 2, seed=0), 3)
    assert len(set(chosen)) == 3
    assert math.isfinite(model._variance)
