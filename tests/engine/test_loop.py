from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine.hooks import Hook
from mlkit.engine.loop import Plan, train
from mlkit.engine.state import TrainState
from mlkit.engine.step import backward, supervised, windows
from mlkit.errors import NonFiniteLossError


def _problem(n: int = 70) -> tuple[nn.Module, SplitBatches]:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=stream)
    y = (x[:, 0] > 0).long()
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    return model, SplitBatches(TensorSplit((x,), y), 16, shuffle=True, seed=3)


def _weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_loop_takes_exactly_the_steps_of_a_loop_written_by_hand() -> None:
    model, batches = _problem()
    by_hand = copy.deepcopy(model)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-2)
    for epoch in range(3):
        for batch in batches.epoch(epoch):
            optimizer.zero_grad()
            F.cross_entropy(by_hand(batch.inputs[0]), batch.targets).backward()
            optimizer.step()
    state = TrainState(model, torch.optim.Adam(model.parameters(), lr=1e-2))
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=3))
    assert torch.equal(_weights(model), _weights(by_hand))
    assert (state.epoch, state.step, state.examples) == (3, 15, 210)


def test_accumulated_gradients_of_a_ragged_window_are_those_of_the_joined_batch() -> None:
    model, batches = _problem()
    model.double()
    parts = [Batch((b.inputs[0].double(),), b.targets) for b in batches.epoch(0)]
    for window in windows(parts, 3):  # 3 batches, then 2, the last of 6 examples
        model.zero_grad()
        loss, count = backward(model, window, supervised(F.cross_entropy))
        accumulated = [p.grad.clone() for p in model.parameters()]
        x, y = torch.cat([b.inputs[0] for b in window]), torch.cat([b.targets for b in window])
        model.zero_grad()
        joined = F.cross_entropy(model(x), y)
        joined.backward()
        assert count == len(y)
        torch.testing.assert_close(loss, joined.detach())
        for p, expected in zip(model.parameters(), accumulated, strict=True):
            torch.testing.assert_close(p.grad, expected)


@pytest.mark.parametrize("stop_at", [1, 4, 5, 8])
def test_a_run_that_stops_at_any_step_and_goes_on_ends_with_the_same_weights(stop_at: int) -> None:
    model, batches = _problem()
    whole, parts = copy.deepcopy(model), copy.deepcopy(model)
    expected = TrainState(whole, torch.optim.Adam(whole.parameters()))
    train(expected, Plan(batches, supervised(F.cross_entropy), max_epochs=3))
    state = TrainState(parts, torch.optim.Adam(parts.parameters()))
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=3, max_steps=stop_at))
    assert state.step == stop_at
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=3))
    assert torch.equal(_weights(parts), _weights(whole))
    assert (state.epoch, state.batch) == (3, 0)


def test_the_schedule_is_applied_to_the_step_it_is_for() -> None:
    model, batches = _problem()
    rates: list[float] = []

    class Watch(Hook):
        def on_step_end(self, state: TrainState, loss: torch.Tensor) -> None:
            rates.append(state.learning_rate)

    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.5))
    plan = Plan(batches, supervised(F.cross_entropy), max_epochs=1, schedule=lambda step: 1 / (1 + step))
    train(state, plan, hooks=[Watch()])
    assert rates == [0.5 / (1 + step) for step in range(5)]


def test_a_loss_that_is_no_number_ends_the_run_before_the_weights_are_touched() -> None:
    model, batches = _problem()
    batches.split.inputs[0][40] = float("nan")  # type: ignore[attr-defined]
    state = TrainState(model, torch.optim.Adam(model.parameters()))
    with pytest.raises(NonFiniteLossError, match="inputs or targets of this batch are non-finite"):
        train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=1))
    assert torch.isfinite(_weights(model)).all()


def test_the_first_layer_that_went_bad_is_named() -> None:
    class Root(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sqrt(x - 100)

    _, batches = _problem()
    model = nn.Sequential(nn.Linear(6, 4), Root(), nn.Linear(4, 2))
    state = TrainState(model, torch.optim.Adam(model.parameters()))
    with pytest.raises(NonFiniteLossError, match=r"step 1\b(.|\n)*first bad layer: 1 \(Root\)"):
        train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=1))


def test_clipping_bounds_the_joint_norm() -> None:
    model, batches = _problem()
    norms: list[float] = []

    class Watch(Hook):
        def on_gradients(self, state: TrainState) -> None:
            grads = [p.grad for p in state.model.parameters() if p.grad is not None]
            norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))

    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=1, clip_norm=0.01), hooks=[Watch()])
    assert norms
    assert all(norm <= 0.0101 for norm in norms)


def test_the_running_loss_is_the_mean_over_examples() -> None:
    model, batches = _problem()
    state = TrainState(model, torch.optim.SGD(model.parameters(), lr=0.0))
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=1))
    x, y = batches.split.gather(torch.arange(70))
    expected = F.cross_entropy(model(x[0]), y).item()  # type: ignore[index]
    assert state.history[0]["loss"] == pytest.approx(expected, rel=1e-5)
