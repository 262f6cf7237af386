"""The loss curve in one word: each shape gets its word, with noise, and losses without a meaning get none.

Not here: the trials that follow.
"""

from __future__ import annotations

import math
import random

import pytest

from mlkit.debug.facts import BackwardFacts, Facts, OptimizerFacts, StepFacts
from mlkit.debug.symptom import symptom, symptom_of


def noisy(values: list[float]) -> list[float]:
    draw = random.Random(0)
    return [value * (1 + 0.1 * draw.uniform(-1, 1)) for value in values]


FALLS = noisy([2 * math.exp(-step / 30) + 0.1 for step in range(120)])


@pytest.mark.parametrize(
    ("losses", "word"),
    [
        (FALLS, "falls"),
        (noisy([2.0] * 60), "plateaus"),
        (noisy([2 * math.exp(step / 10) for step in range(60)]), "explodes"),
        (noisy([2.0 + 0.05 * step for step in range(60)]), "goes-up"),
        ([2.0, *[500.0] * 59], "explodes"),
        ([1.0] * 20 + [math.nan], "explodes"),
        ([2.0 - 0.002 * step for step in range(60)], "slow"),
        ([2.0, 1.5], None),
        ([-0.01 * step for step in range(60)], "falls"),
        (noisy([2.0 - (1.0 if step // 20 % 2 else 0.1) for step in range(120)]), "oscillates"),
    ],
)
def test_each_shape_has_its_word(losses: list[float], word: str | None) -> None:
    assert symptom(losses) == word


def test_a_floor_at_chance_is_a_plateau_however_far_the_loss_fell() -> None:
    losses = [100 * math.exp(-step / 5) + 1.38 for step in range(100)]
    assert symptom(losses) == "falls"
    assert symptom(losses, chance=1.386) == "plateaus"


def test_rises_count_only_where_every_step_sees_the_same_batch() -> None:
    losses = [math.exp(-step / 60) * (1.0 if step % 2 else 0.8) for step in range(120)]
    assert symptom(losses) == "falls"
    assert symptom(losses, is_same_batch=True) == "oscillates"


def turns(taking: bool) -> Facts:
    """Two optimisers that step twenty times: each on a backward of its own, or both after one."""
    facts = Facts(total_steps=20)
    for step in range(20):
        facts.optimizers.setdefault(step % 2, OptimizerFacts(step % 2, "Adam", None, 0, steps=10))
        facts.steps.append(StepFacts(step, step % 2, None, [0.1], 1, 1, True))
        if taking or step % 2 == 0:
            facts.backwards.append(BackwardFacts(step, None, 1.0, 0.0))
        facts.losses.append((step, 1.0 + 0.1 * step))
    return facts


def test_the_losses_of_adversaries_are_not_judged_by_their_height() -> None:
    assert symptom_of(turns(taking=True)) is None
    assert symptom_of(turns(taking=False)) == "goes-up"


def test_a_loss_of_either_sign_is_not_judged() -> None:
    assert symptom_of(Facts(losses=[(step, (-1.0) ** step) for step in range(40)])) is None
