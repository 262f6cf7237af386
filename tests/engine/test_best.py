from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from mlkit.engine.best import Best
from mlkit.engine.state import TrainState
from mlkit.errors import ConfigError
from mlkit.metrics.estimate import Estimate

NAN, INF = float("nan"), float("inf")


def new_state() -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    return TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))


def after(values: list[float], monitor: str = "val/loss", state: TrainState | None = None) -> TrainState:
    """The state after these evaluations, ten steps apart."""
    state, best = state or new_state(), Best(monitor)
    split, _, metric = monitor.partition("/")
    for value in values:
        state.step += 10
        best.on_evaluation(state, split, {metric: Estimate(value)})
    return state


@pytest.mark.parametrize(
    ("values", "best", "step"),
    [
        ([3.0, 2.0, 1.0], 1.0, 30),
        ([1.0, 2.0, 3.0], 1.0, 10),
        ([3.0, 1.0, 2.0], 1.0, 20),
        ([1.0, 1.0, 1.0], 1.0, 10),  # the first of equals
        ([NAN, 2.0, NAN], 2.0, 20),
        ([INF, 5.0, -INF], -INF, 30),
        ([-1.0, 0.0, -2.0], -2.0, 30),
        ([NAN, NAN], None, None),
        ([], None, None),
    ],
)
def test_the_smallest_loss(values: list[float], best: float | None, step: int | None) -> None:
    state = after(values)
    assert (state.best, state.best_step) == (best, step)


@pytest.mark.parametrize("monitor", ["val/accuracy", "train/auc", "val/r2", "val/top5", "target_val/f1"])
def test_what_should_be_large_is_watched_upwards(monitor: str) -> None:
    state = after([0.5, 0.9, 0.7, NAN, 0.9], monitor)
    assert (state.best, state.best_step) == (0.9, 20)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_resumed_run_has_the_same_best(cut: int) -> None:
    values = [3.0, 1.0, 2.0, 0.5, 4.0]
    whole, part = after(values), after(values[:cut])
    resumed = new_state()
    resumed.step, resumed.best, resumed.best_step = part.step, part.best, part.best_step
    after(values[cut:], state=resumed)
    assert (resumed.best, resumed.best_step) == (whole.best, whole.best_step)


def test_other_splits_and_metrics_do_not_count() -> None:
    state, best = new_state(), Best("val/loss")
    best.on_evaluation(state, "train", {"loss": Estimate(0.1)})
    assert state.best is None
    best.on_evaluation(state, "val", {"accuracy": Estimate(9.0), "loss": Estimate(0.3)})
    assert state.best == 0.3
    best.on_evaluation(state, "test", {"loss": Estimate(0.1)})
    assert state.best == 0.3


def test_a_metric_that_is_not_evaluated_is_a_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        Best("val/auc").on_evaluation(new_state(), "val", {"acc": Estimate(1.0), "loss": Estimate(1.0)})
    text = str(caught.value)
    assert "the watched metric is not among those evaluated" in text
    assert "received: val/auc" in text
    assert "allowed:  val/acc, val/loss" in text


@pytest.mark.parametrize("monitor", ["val/happiness", "loss", "", "val/", "/"])
def test_a_metric_nobody_knows_is_a_mistake_at_once(monitor: str) -> None:
    with pytest.raises(ConfigError, match="unknown metric"):
        Best(monitor)


def test_the_best_weights_are_kept_as_they_were_buffers_too() -> None:
    state, best = new_state(), Best("val/loss", keep=True)
    kept = None
    for value in (3.0, 1.0, 2.0):
        state.step += 1
        state.model(torch.randn(8, 2)).sum().backward()  # moves the running statistics
        state.optimizer.step()
        best.on_evaluation(state, "val", {"loss": Estimate(value)})
        if value == 1.0:
            kept = copy.deepcopy(state.model.state_dict())
    assert kept is not None
    assert best.weights is not None
    assert best.weights.keys() == kept.keys()
    assert all(torch.equal(best.weights[name], value) for name, value in kept.items())
    assert not torch.equal(best.weights["0.weight"], state.model.state_dict()["0.weight"])
    assert not any(value.requires_grad for value in best.weights.values())


def test_nothing_is_kept_unless_asked_for_and_nothing_before_there_is_a_best() -> None:
    state, plain, keeping = new_state(), Best("val/loss"), Best("val/loss", keep=True)
    for best in (plain, keeping):
        best.on_evaluation(state, "val", {"loss": Estimate(NAN)})
        assert best.weights is None
    plain.on_evaluation(state, "val", {"loss": Estimate(1.0)})
    assert plain.weights is None


def test_of_an_averaged_model_the_averages_are_kept() -> None:
    state, best = new_state(), Best("val/loss", keep=True)
    state.averaged = copy.deepcopy(state.model)
    with torch.no_grad():
        state.averaged.get_parameter("0.weight").fill_(7.0)
    best.on_evaluation(state, "val", {"loss": Estimate(1.0)})
    assert best.weights is not None
    assert (best.weights["0.weight"] == 7.0).all()
    assert math.isfinite(state.best or NAN)
