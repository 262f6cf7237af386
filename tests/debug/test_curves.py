"""What a trial tells next to its control: a cure is told from noise, and from a control that does as well.

Not here: the running of trials.
"""

from __future__ import annotations

import math

from mlkit.debug.curves import Trials, level, per_step, trial
from mlkit.debug.facts import Facts

STEPS = range(60)


def test_a_cure_falls_clearly_where_the_control_does_not() -> None:
    flat, falling = [2.0 + 0.01 * (-1) ** k for k in STEPS], [2.0 * math.exp(-k / 20) for k in STEPS]
    assert Trials("lr*10", 2.0, flat, falling).is_cured(2.0, times=3)
    assert not Trials("lr*10", 2.0, falling, falling).is_cured(2.0, times=3)
    assert not Trials("lr*10", 2.0, flat, flat).is_cured(2.0, times=3)
    assert not Trials("lr*10", 2.0, flat, [math.nan] * 60).is_cured(2.0, times=3)


def test_a_control_that_is_not_finite_is_worse_than_any_number() -> None:
    assert Trials("lr*0.1", 2.0, [math.inf] * 60, [2.0 * math.exp(-k / 20) for k in STEPS]).is_cured(2.0, times=3)
    assert level([1.0, math.nan, 1.0]) == math.inf


def test_trials_are_cut_to_the_steps_that_both_have_and_joined_by_step() -> None:
    facts = Facts(
        trials={"nothing": {"losses": [1.0] * 40}, "lr*0.1": {"losses": [1.0] * 60, "steps": [k // 2 for k in STEPS]}}
    )
    told = trial(facts, "lr*0.1")
    assert told is not None
    assert len(told.control) == len(told.changed) == 30
    assert trial(facts, "lr*0.01") is None
    assert per_step([(0, 1.0), (0, 3.0), (1, 5.0)]) == [2.0, 5.0]
