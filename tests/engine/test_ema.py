from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mlkit.engine.ema import Averaging, averaged_copy
from mlkit.engine.state import TrainState
from mlkit.errors import ConfigError

LOSS = torch.tensor(0.0)


def small_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def new_state(model: nn.Module) -> TrainState:
    return TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))


@torch.no_grad()
def wander(model: nn.Module, seed: int) -> None:
    """Change all weights and buffers, as a training step does."""
    stream = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=stream))
    model.train()(torch.randn(8, 3, generator=stream))


def test_the_average_follows_its_recurrence() -> None:
    state = new_state(nn.Linear(1, 1, bias=False))
    hook = Averaging(0.9)
    nn.init.constant_(state.model.weight, 1.0)  # type: ignore[arg-type]
    hook.on_fit_start(state)
    expected = 1.0
    for t in range(200):
        value = float(t % 5)
        nn.init.constant_(state.model.weight, value)  # type: ignore[arg-type]
        hook.on_step_end(state, LOSS)
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * value
    assert float(state.averaged.weight) == pytest.approx(expected, rel=1e-5)  # type: ignore[union-attr, arg-type]


def test_a_constant_is_its_own_average() -> None:
    state = new_state(small_model())
    hook = Averaging()
    hook.on_fit_start(state)
    for _ in range(10):
        hook.on_step_end(state, LOSS)
    for average, weight in zip(state.averaged.parameters(), state.model.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.equal(average, weight)


def test_the_model_is_not_touched_and_buffers_are_copied() -> None:
    state = new_state(small_model())
    hook = Averaging()
    hook.on_fit_start(state)
    wander(state.model, 0)
    before = copy.deepcopy(state.model.state_dict())
    hook.on_step_end(state, LOSS)
    assert state.averaged is not None
    for name, value in state.model.state_dict().items():
        assert torch.equal(value, before[name])
    for (_, copied), (_, original) in zip(state.averaged.named_buffers(), state.model.named_buffers(), strict=True):
        assert torch.equal(copied, original)
        assert copied.data_ptr() != original.data_ptr()
    assert not any(parameter.requires_grad for parameter in state.averaged.parameters())
    assert all(parameter.requires_grad for parameter in state.model.parameters())


def test_the_averaged_model_is_the_one_to_judge() -> None:
    state = new_state(small_model())
    Averaging().on_fit_start(state)
    assert state.eval_model is state.averaged


def test_a_resumed_average_goes_on_bit_for_bit() -> None:
    torch.manual_seed(0)
    state = new_state(small_model())
    hook = Averaging(0.95)
    hook.on_fit_start(state)
    for step in range(3):
        wander(state.model, step)
        hook.on_step_end(state, LOSS)

    resumed = new_state(copy.deepcopy(state.model))
    resumed.averaged = averaged_copy(small_model())
    resumed.averaged.load_state_dict(copy.deepcopy(state.averaged.state_dict()))  # type: ignore[union-attr]
    resumed.extra = copy.deepcopy(state.extra)
    again = Averaging(0.95)
    again.on_fit_start(resumed)
    for each, one in ((state, hook), (resumed, again)):
        for step in range(3, 6):
            wander(each.model, step)
            one.on_step_end(each, LOSS)
    for one, other in zip(state.averaged.parameters(), resumed.averaged.parameters(), strict=True):  # type: ignore
        assert torch.equal(one, other)


def test_shared_weights_stay_shared_and_whole_numbers_are_copied() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model.register_parameter("table", nn.Parameter(torch.arange(3), requires_grad=False))
    state = new_state(model)
    hook = Averaging()
    hook.on_fit_start(state)
    model.table.data.add_(5)  # type: ignore[union-attr, operator]
    hook.on_step_end(state, LOSS)
    averaged = state.averaged
    assert isinstance(averaged, nn.Sequential)
    assert averaged[0].weight is averaged[1].weight
    assert averaged.table.tolist() == [5, 6, 7]  # type: ignore[operator, union-attr]


def test_the_average_is_quieter_than_what_it_follows() -> None:
    state = new_state(nn.Linear(100, 1, bias=False))
    hook = Averaging(0.99)
    hook.on_fit_start(state)
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(1000):
            state.model.weight.copy_(3 + torch.randn(1, 100, generator=stream))  # type: ignore[operator, union-attr]
            hook.on_step_end(state, LOSS)
    average = state.averaged.weight  # type: ignore[union-attr]
    assert float(average.mean()) == pytest.approx(3, abs=0.05)  # type: ignore[arg-type, operator]
    # variance of an exponential average of independent noise: (1 - d) / (1 + d)
    assert float(average.std()) == pytest.approx((0.01 / 1.99) ** 0.5, rel=0.3)  # type: ignore[arg-type, operator]


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=r"allowed:  a number in \[0, 1\)"):
        Averaging(decay)
