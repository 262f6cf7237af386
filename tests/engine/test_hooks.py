from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine.fit import fit
from mlkit.engine.hooks import MOMENTS, Hook, listeners
from mlkit.engine.loop import Plan, train
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.engine.step import supervised


class Everything(Hook):
    """Notes each moment as it comes."""

    def __init__(self, log: list[str], name: str = "") -> None:
        self.log, self.name = log, name

    def note(self, moment: str) -> None:
        self.log.append(self.name + moment)

    def on_fit_start(self, state: TrainState) -> None:
        self.note("fit_start")

    def on_epoch_start(self, state: TrainState) -> None:
        self.note("epoch_start")

    def on_step_start(self, state: TrainState, batch: Batch) -> None:
        self.note("step_start")

    def on_gradients(self, state: TrainState) -> None:
        self.note("gradients")

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self.note("step_end")

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        self.note(f"evaluation:{split}")

    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        self.note("fit_end")


class OnlySteps(Hook):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        self.steps.append(state.step)


class Inherits(OnlySteps):
    """Overrides nothing itself."""


def test_there_are_seven_moments_and_the_base_class_has_each() -> None:
    own = [name for name, _ in inspect.getmembers(Hook, inspect.isfunction) if name.startswith("on_")]
    assert sorted(MOMENTS) == sorted(own)
    assert len(MOMENTS) == 7


@pytest.mark.parametrize("moment", MOMENTS)
def test_moments_that_are_left_alone_cost_nothing(moment: str) -> None:
    assert listeners([], moment) == []
    assert listeners([Hook(), Hook()], moment) == []
    expected = 2 if moment == "on_step_end" else 0
    assert len(listeners([OnlySteps(), Hook(), Inherits()], moment)) == expected


@pytest.mark.parametrize("moment", MOMENTS)
def test_listeners_keep_the_order_of_the_hooks(moment: str) -> None:
    log: list[str] = []
    hooks = [Everything(log, name) for name in "cab"]
    found = listeners([hooks[0], Hook(), hooks[1], hooks[2]], moment)
    assert found == [getattr(hook, moment) for hook in hooks]


def test_what_the_base_class_does_is_nothing() -> None:
    model = nn.Linear(1, 1)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    hook, batch, loss = Hook(), Batch((torch.ones(1, 1),), torch.ones(1)), torch.zeros(())
    hook.on_fit_start(state)
    hook.on_epoch_start(state)
    hook.on_step_start(state, batch)
    hook.on_gradients(state)
    hook.on_step_end(state, loss)
    hook.on_evaluation(state, "val", {})
    hook.on_fit_end(state, None)
    assert vars(hook) == {}


def data() -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(0)
    return torch.randn(12, 3, generator=stream), torch.randint(0, 2, (12,), generator=stream)


STEP = ["step_start", "gradients", "step_end"]


def test_the_moments_of_a_run_in_order() -> None:
    log: list[str] = []
    x, y = data()
    fit(nn.Linear(3, 2), (x, y), val=(x, y), batch_size=6, max_epochs=2, hooks=[Everything(log)], device="cpu")
    epoch = ["epoch_start", *STEP, *STEP, "evaluation:train", "evaluation:val"]
    assert log == ["fit_start", *epoch, *epoch, "fit_end"]


def test_at_each_moment_hooks_come_in_their_order() -> None:
    log: list[str] = []
    x, y = data()
    hooks = [Everything(log, "a:"), Everything(log, "b:")]
    fit(nn.Linear(3, 2), (x, y), batch_size=6, max_epochs=1, hooks=hooks, device="cpu")
    assert log[::2] == [entry.replace("b:", "a:") for entry in log[1::2]]
    assert all(entry.startswith("a:") for entry in log[::2])


def test_a_window_of_batches_is_one_step() -> None:
    log: list[str] = []
    x, y = data()
    model = nn.Linear(3, 2)
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    plan = Plan(SplitBatches(TensorSplit((x,), y), 4), supervised(F.cross_entropy), max_epochs=1, accumulate=2)
    train(state, plan, hooks=[Everything(log)])
    assert log == ["epoch_start", *STEP, *STEP]


def test_hooks_see_the_state_of_their_moment() -> None:
    seen: list[object] = []

    class Watch(Hook):
        def on_step_start(self, state: TrainState, batch: Batch) -> None:
            seen.append(("start", state.step, len(batch.targets)))

        def on_gradients(self, state: TrainState) -> None:
            weights.append(state.model.get_parameter("weight").detach().clone())
            gradient = state.model.get_parameter("weight").grad
            seen.append(("gradients", state.step, gradient is not None and bool(gradient.any())))

        def on_step_end(self, state: TrainState, loss: Tensor) -> None:
            moved = not torch.equal(weights[-1], state.model.get_parameter("weight"))
            seen.append(("end", state.step, moved, loss.requires_grad))

    weights: list[Tensor] = []
    x, y = data()
    fit(nn.Linear(3, 2), (x, y), batch_size=8, max_epochs=1, hooks=[Watch()], device="cpu")
    assert seen == [
        ("start", 0, 8),
        ("gradients", 0, True),
        ("end", 1, True, False),
        ("start", 1, 4),
        ("gradients", 1, True),
        ("end", 2, True, False),
    ]


def test_a_hook_that_asks_to_stop_ends_the_run_after_its_step() -> None:
    class Stop(OnlySteps):
        def on_step_end(self, state: TrainState, loss: Tensor) -> None:
            super().on_step_end(state, loss)
            if state.step == 3:
                state.stop_reason = "enough"

    stop, late = Stop(), OnlySteps()
    x, y = data()
    result = fit(nn.Linear(3, 2), (x, y), batch_size=6, max_epochs=9, hooks=[stop, late], device="cpu")
    assert stop.steps == late.steps == [1, 2, 3]
    assert result.state.status == "stopped"


def test_the_error_that_ends_a_run_is_shown_to_every_hook() -> None:
    class Fails(Hook):
        def on_step_end(self, state: TrainState, loss: Tensor) -> None:
            raise ZeroDivisionError

    class Last(Hook):
        def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
            errors.append((type(error), state.status))

    errors: list[object] = []
    x, y = data()
    with pytest.raises(ZeroDivisionError):
        fit(nn.Linear(3, 2), (x, y), max_epochs=1, hooks=[Last(), Fails(), Last()], device="cpu")
    assert errors == [(ZeroDivisionError, "failed")] * 2
