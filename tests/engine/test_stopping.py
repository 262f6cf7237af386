from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from mlkit.engine.state import TrainState
from mlkit.engine.stopping import EarlyStopping, TargetReached, TimeLimit, format_duration, parse_duration
from mlkit.errors import ConfigError
from mlkit.metrics.estimate import Estimate

NAN = float("nan")


def new_state() -> TrainState:
    model = nn.Linear(1, 1)
    return TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))


def evaluations_until_stop(hook: EarlyStopping, values: list[float], state: TrainState | None = None) -> int | None:
    """How many of ``values`` are seen before the run ends; None when it goes on."""
    state = state or new_state()
    _, _, metric = hook.monitor.partition("/")
    for count, value in enumerate(values, start=1):
        state.step += 10
        hook.on_evaluation(state, "val", {metric: Estimate(value)})
        if state.stop_reason is not None:
            return count
    return None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 4, 3, 2, 1, 0.5], None),
        ([1, 2, 3], None),
        ([1, 2, 3, 4], 4),
        ([1, 1, 1, 1], 4),
        ([3, 4, 5, 2, 3, 4, 5], 7),
        ([3, 4, 5, 2.9, 3, 4], None),
        ([NAN, NAN, NAN], 3),
        ([NAN, 1, NAN, NAN, NAN], 5),
        ([1, float("inf"), float("inf"), float("inf")], 4),
    ],
)
def test_patience_of_three(values: list[float], expected: int | None) -> None:
    assert evaluations_until_stop(EarlyStopping(3), values) == expected


def test_accuracy_is_watched_upwards() -> None:
    rising = [0.1, 0.2, 0.3, 0.4]
    assert evaluations_until_stop(EarlyStopping(2, monitor="val/accuracy"), rising) is None
    assert evaluations_until_stop(EarlyStopping(2, monitor="val/accuracy"), rising[::-1]) == 3


def test_a_metric_of_ones_own_needs_a_goal() -> None:
    with pytest.raises(ConfigError, match="unknown metric"):
        EarlyStopping(2, monitor="val/happiness")
    hook = EarlyStopping(2, monitor="val/happiness", goal="max")
    assert evaluations_until_stop(hook, [0.1, 0.2, 0.3, 0.4]) is None


def test_small_improvements_do_not_count_but_their_sum_does() -> None:
    slow = [1.0, 0.95, 0.9, 0.85, 0.8, 0.75]
    assert evaluations_until_stop(EarlyStopping(2, min_delta=0.2), slow) == 3
    assert evaluations_until_stop(EarlyStopping(4, min_delta=0.12), slow) is None


def test_other_splits_are_not_counted() -> None:
    hook, state = EarlyStopping(1), new_state()
    for _ in range(5):
        hook.on_evaluation(state, "train", {"loss": Estimate(1.0)})
        hook.on_evaluation(state, "test", {"loss": Estimate(1.0)})
    assert state.stop_reason is None


def test_the_reason_can_be_read() -> None:
    state = new_state()
    evaluations_until_stop(EarlyStopping(2), [0.5, 0.25, 0.3, 0.4], state)
    assert state.stop_reason == "val/loss was best at step 20 (0.25) and has not improved in the last 2 evaluations"
    state = new_state()
    evaluations_until_stop(EarlyStopping(1), [NAN], state)
    assert state.stop_reason == "val/loss was never a number and has not improved in the last evaluation"


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_resumed_run_stops_where_the_uninterrupted_one_does(cut: int) -> None:
    values = [3.0, 2.0, 2.5, 2.4, 2.3, 2.2]
    whole = evaluations_until_stop(EarlyStopping(3), values)
    state = new_state()
    assert evaluations_until_stop(EarlyStopping(3), values[:cut], state) is None
    resumed = new_state()
    resumed.step, resumed.extra = state.step, copy.deepcopy(state.extra)
    rest = evaluations_until_stop(EarlyStopping(3), values[cut:], resumed)
    assert rest is not None
    assert cut + rest == whole


def test_two_hooks_do_not_share_what_they_remember() -> None:
    state = new_state()
    loss, accuracy = EarlyStopping(2), EarlyStopping(2, monitor="val/accuracy")
    for value in (0.1, 0.2):
        for hook in (loss, accuracy):
            hook.on_evaluation(state, "val", {"loss": Estimate(value), "accuracy": Estimate(value)})
    assert state.extra["early_stopping:val/loss"]["since"] == 1
    assert state.extra["early_stopping:val/accuracy"]["since"] == 0


def test_a_metric_that_is_not_evaluated_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="did you mean 'accuracy'") as caught:
        EarlyStopping(1, monitor="val/acuracy", goal="max").on_evaluation(
            new_state(), "val", {"accuracy": Estimate(1.0), "loss": Estimate(1.0)}
        )
    assert "allowed:  val/accuracy, val/loss" in str(caught.value)


@pytest.mark.parametrize("monitor", ["loss", "validation/loss", "val/", "/loss"])
def test_what_is_watched_needs_a_split_and_a_metric(monitor: str) -> None:
    with pytest.raises(ConfigError, match="not a metric to watch"):
        EarlyStopping(1, monitor=monitor)


def test_wrong_settings_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        EarlyStopping(0, min_delta=-1.0)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("monitor", "target", "value", "stops"),
    [
        ("val/accuracy", 0.9, 0.9, True),
        ("val/accuracy", 0.9, 0.89, False),
        ("val/loss", 0.1, 0.05, True),
        ("val/loss", 0.1, 0.2, False),
        ("val/loss", 0.1, NAN, False),
    ],
)
def test_a_target_is_reached_from_the_right_side(monitor: str, target: float, value: float, stops: bool) -> None:
    state = new_state()
    TargetReached(monitor, target).on_evaluation(state, "val", {monitor.removeprefix("val/"): Estimate(value)})
    assert (state.stop_reason is not None) == stops
    if stops:
        assert state.stop_reason == f"{monitor} reached {value:.4g}, the target was {target:.4g}"


def test_the_time_of_earlier_parts_counts() -> None:
    hook, state, loss = TimeLimit("10m"), new_state(), torch.tensor(0.0)
    state.seconds = 599.9
    hook.on_step_end(state, loss)
    assert state.stop_reason is None
    state.seconds = 600.0
    hook.on_step_end(state, loss)
    assert state.stop_reason == "the time limit of 10 min is reached"


def test_the_first_reason_stays() -> None:
    state = new_state()
    state.stop_reason, state.seconds = "something else", 100.0
    TimeLimit(1).on_step_end(state, torch.tensor(0.0))
    assert state.stop_reason == "something else"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("90s", 90),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("2D", 172_800),
        (" 45 ", 45),
        ("0.5", 0.5),
        (12, 12),
        (1.5, 1.5),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "ten", "10x", "m", "1h30", "-5", "0", 0, -1.0, NAN, "nan", "inf", "1..5h", "1.5.2s"]
)
def test_what_is_not_a_duration(text: Any) -> None:
    with pytest.raises(ConfigError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(59, "59 s"), (90, "1 min 30 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (59.9999, "60 s")]
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
