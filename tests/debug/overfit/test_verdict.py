from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from mlkit.debug.overfit.course import Course
from mlkit.debug.overfit.heights import heights
from mlkit.debug.overfit.verdict import is_flat, name_course
from mlkit.debug.overfit.yardstick import Yardstick, yardstick_for

CURVES = 200
CLASSES = 10
LABELS = torch.arange(60) % CLASSES
Array = np.ndarray


def stick() -> Yardstick:
    found = yardstick_for(torch.zeros(60, CLASSES), LABELS)
    assert found is not None
    return found


def course(losses: Array, *, trained: float, judged: float) -> Course:
    scores = tuple(np.linspace(0.1, trained, len(losses)).tolist()[:-5]) + (trained,) * 5
    return Course(tuple(losses.tolist()), scores, ((len(losses), judged),))


def noisy(losses: Array, rng: np.random.Generator, *, relative: float) -> Array:
    return losses * np.exp(relative * rng.standard_normal(len(losses)))


def falling(rng: np.random.Generator, steps: int, start: float, end: float) -> Array:
    rate = rng.uniform(5, 14) / steps  # less than a hundredth of the fall is still to come at the end
    return end + (start - end) * np.exp(-rate * np.arange(steps))


def overfits(rng: np.random.Generator, steps: int) -> Course:
    return course(noisy(falling(rng, steps, 2.4, 0.0), rng, relative=0.1), trained=1.0, judged=1.0)


def gap(rng: np.random.Generator, steps: int) -> Course:
    losses = noisy(falling(rng, steps, 2.4, 0.01), rng, relative=0.1)
    return course(losses, trained=1.0, judged=rng.uniform(0.1, 0.8))


def plateaus(rng: np.random.Generator, steps: int) -> Course:
    height = rng.choice([math.log(CLASSES), rng.uniform(0.5, 2.2)])
    losses = noisy(falling(rng, steps, height * rng.uniform(1.0, 1.6), height), rng, relative=0.01)
    return course(losses, trained=rng.uniform(0.1, 0.5), judged=rng.uniform(0.1, 0.5))


def slow(rng: np.random.Generator, steps: int) -> Course:
    part = rng.uniform(0.02, 0.5)
    losses = noisy(2.4 * (1 - part * np.arange(steps) / steps), rng, relative=0.002)
    return course(losses, trained=rng.uniform(0.1, 0.4), judged=rng.uniform(0.1, 0.4))


def goes_up(rng: np.random.Generator, steps: int) -> Course:
    losses = noisy(2.4 + rng.uniform(1, 20) * np.arange(steps) / steps, rng, relative=0.05)
    return course(losses, trained=0.1, judged=0.1)


def explodes(rng: np.random.Generator, steps: int) -> Course:
    losses = 2.4 * np.exp(rng.uniform(8, 60) * np.arange(steps) / steps)
    if rng.random() < 0.5:
        losses[-1] = rng.choice([np.nan, np.inf])
    return course(noisy(losses, rng, relative=0.05), trained=0.1, judged=0.1)


def oscillates(rng: np.random.Generator, steps: int) -> Course:
    losses = noisy(np.full(steps, rng.uniform(1.2, 2.4)), rng, relative=rng.uniform(0.2, 0.6))
    losses[0] = 2.4
    return course(losses, trained=rng.uniform(0.1, 0.5), judged=0.2)


def too_good(rng: np.random.Generator, steps: int) -> Course:
    end = rng.choice([0.001, -5.0])
    return course(noisy(falling(rng, steps, 2.4, end), rng, relative=0.01), trained=0.1, judged=0.1)


KINDS: dict[str, Callable[[np.random.Generator, int], Course]] = {
    "overfits": overfits,
    "train-eval-gap": gap,
    "plateaus": plateaus,
    "slow": slow,
    "goes-up": goes_up,
    "explodes": explodes,
    "oscillates": oscillates,
    "too-good": too_good,
}


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_courses_are_named(kind: str) -> None:
    judge, named = stick(), Counter[str]()
    known = heights(judge, LABELS)
    for seed in range(CURVES):
        rng = np.random.default_rng(seed)
        named[name_course(KINDS[kind](rng, int(rng.integers(60, 400))), judge, known).symptom] += 1
    assert named[kind] >= 0.95 * CURVES, named


def test_a_course_that_ends_at_the_same_height_by_chance_is_still_flat_or_not() -> None:
    assert is_flat([2.3] * 30)
    assert not is_flat(list(np.linspace(2.3, 1.0, 60)))
    assert not is_flat([1.0] * 5)


@pytest.mark.parametrize(
    ("end", "name"),
    [(math.log(10), "ln C"), (math.log1p(9 / math.e), "ln(1 + (C - 1) / e)"), (-1.0, "-1")],
)
def test_the_height_of_a_plateau_names_its_cause(end: float, name: str) -> None:
    rng = np.random.default_rng(0)
    losses = falling(rng, 200, end + 0.3, end)
    is_right = end < 2
    verdict = name_course(
        course(losses, trained=1.0 if is_right else 0.1, judged=1.0 if is_right else 0.1),
        stick(),
        heights(stick(), LABELS),
    )
    assert verdict.symptom == "plateaus"
    assert verdict.height is not None
    assert verdict.height.name == name


def test_a_plateau_at_no_known_height_has_none() -> None:
    verdict = name_course(course(np.full(100, 1.0), trained=0.4, judged=0.4), stick(), heights(stick(), LABELS))
    assert verdict.symptom == "plateaus"
    assert verdict.height is None


def test_a_batch_that_is_right_before_the_first_step_is_too_good() -> None:
    losses = tuple(np.linspace(0.1, 0.01, 30).tolist())
    found = name_course(Course(losses, (1.0,) * 30, ((30, 1.0),)), stick())
    assert found.symptom == "too-good"
    assert "before the first step" in found.because
