from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import Batch, TensorSplit
from mlkit.engine.loop import Plan, train
from mlkit.engine.nonfinite import first_bad_layer, is_finite, nonfinite_error, tensors_in
from mlkit.engine.state import TrainState
from mlkit.engine.step import supervised
from mlkit.errors import NonFiniteLossError

NAN, INF = float("nan"), float("inf")


class Root(nn.Module):
    """No number below zero."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(x - 100)


class Twice(nn.Module):
    """Gives its result and something beside it."""

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, list[Tensor]]]:
        return x, {"beside": [x / 0]}


class First(nn.Module):
    def forward(self, pair: tuple[Tensor, Any]) -> Tensor:
        return pair[0]


def batch() -> Batch:
    stream = torch.Generator().manual_seed(0)
    return Batch((torch.randn(8, 6, generator=stream),), torch.randint(0, 4, (8,), generator=stream))


def state_of(model: nn.Module, *, lr: float = 0.125, step: int = 6) -> TrainState:
    return TrainState(model, torch.optim.SGD(model.parameters(), lr=lr), step=step)


def text_of(model: nn.Module, what: Batch | None = None, **change: Any) -> str:
    return str(nonfinite_error(state_of(model, **change), [what or batch()], NAN))


def test_tensors_are_found_however_deep_they_are() -> None:
    a, b, c, d = (torch.full((), float(value)) for value in range(4))
    found = list(tensors_in({"a": a, "rest": [b, (c, None, "text", 3, {"d": d})]}))
    assert [int(x) for x in found] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (torch.ones(3), True),
        (torch.tensor([1.0, NAN]), False),
        (torch.tensor([1.0, -INF]), False),
        (torch.tensor([1.0, INF], dtype=torch.bfloat16), False),
        (torch.tensor([2**62]), True),
        ([torch.ones(2), {"x": (torch.tensor(NAN),)}], False),
        ((), True),
        (None, True),
        (torch.ones(0), True),
    ],
)
def test_finite(value: Any, expected: bool) -> None:
    assert is_finite(value) == expected


def test_the_first_layer_is_named_and_not_those_that_follow() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Sequential(nn.ReLU(), Root(), nn.Tanh()), nn.Linear(5, 4))
    assert first_bad_layer(model, batch()) == "1.1 (Root)"


def test_a_model_of_one_layer_is_named_model() -> None:
    assert first_bad_layer(Root(), batch()) == "model (Root)"


def test_what_a_layer_gives_beside_its_result_counts() -> None:
    model = nn.Sequential(nn.Linear(6, 4), Twice(), First())
    assert first_bad_layer(model, batch()) == "1 (Twice)"


def test_a_sound_model_has_no_bad_layer() -> None:
    assert first_bad_layer(nn.Linear(6, 4), batch()) is None


def test_inputs_by_name_are_followed() -> None:
    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.root = nn.Linear(6, 4), Root()

        def forward(self, *, x: Tensor) -> Tensor:
            y: Tensor = self.root(self.linear(x))
            return y

    inputs, targets = batch()
    assert first_bad_layer(ByName(), Batch({"x": inputs[0]}, targets)) == "root (Root)"  # type: ignore[index]


@pytest.mark.parametrize("fails", [False, True])
def test_looking_for_the_layer_changes_nothing(fails: bool) -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if fails:
                raise ZeroDivisionError
            return x

    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), Root(), Fails(), nn.Linear(5, 4))
    before = copy.deepcopy(model.state_dict())
    if fails:
        with pytest.raises(ZeroDivisionError):
            first_bad_layer(model, batch())
    else:
        assert first_bad_layer(model, batch()) == "2 (Root)"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_the_verdict_has_step_learning_rate_gradient_norm_and_layer() -> None:
    model = nn.Sequential(nn.Linear(6, 5), Root(), nn.Linear(5, 4))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model[0].bias.grad = torch.tensor([3.0, 0.0, 4.0, 0.0, 0.0])
    model[2].bias.grad = torch.tensor([12.0, 0.0, 0.0, 0.0])  # 3² + 4² + 12² = 13²
    text = text_of(model)
    assert "the loss became nan at step 7" in text
    assert "learning rate 0.125" in text
    assert "gradient norm 13;" in text
    assert "first bad layer: 1 (Root)" in text
    assert "allowed:  a finite loss" in text
    assert "optimizer.lr" in text
    assert "trainer.clip_norm=1" in text


@pytest.mark.parametrize("bad", [NAN, INF])
def test_bad_data_are_blamed_before_layers_and_weights(bad: float) -> None:
    (x,), y = batch()  # type: ignore[misc]
    x[3, 2] = bad
    model = nn.Sequential(nn.Linear(6, 5), Root())
    nn.init.constant_(model[0].weight, NAN)
    for what in (Batch((x,), y), Batch({"x": x}, y), Batch((torch.ones(8, 6),), torch.full((8, 1), bad))):
        text = text_of(model, what)
        assert "the inputs or targets of this batch are non-finite" in text
        assert "clean the data" in text
        assert "optimizer.lr" not in text


def test_bad_weights_are_blamed_before_layers() -> None:
    model = nn.Sequential(nn.Linear(6, 5), Root(), nn.Linear(5, 4))
    nn.init.constant_(model[2].weight, INF)
    nn.init.constant_(model[2].bias, NAN)
    text = text_of(model)
    assert "weights are non-finite after the step before, first 2.weight" in text
    assert "optimizer.lr" in text


def test_a_loss_that_overflows_by_itself_is_said_to() -> None:
    assert "the model's output is finite: the loss itself overflows" in text_of(nn.Linear(6, 4))


def test_without_gradients_there_is_no_norm() -> None:
    text = text_of(nn.Linear(6, 4))
    assert "no gradient yet" in text
    assert "nan;" not in text


def trained(model: nn.Module, x: Tensor, *, lr: float = 0.1, accumulate: int = 1, **change: Any) -> TrainState:
    y = torch.randint(0, 4, (len(x),), generator=torch.Generator().manual_seed(0))
    state = state_of(model, lr=lr, step=0)
    batches = SplitBatches(TensorSplit((x,), y), 8)
    train(state, Plan(batches, supervised(F.cross_entropy), max_epochs=20, accumulate=accumulate, **change))
    return state


def test_a_run_that_diverges_ends_with_a_verdict_and_whole_weights_or_says_which_are_not() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 4))
    with pytest.raises(NonFiniteLossError, match=r"the loss became (nan|inf) at step \d+\b") as caught:
        trained(model, torch.randn(32, 6), lr=1e6)
    bad = [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]
    assert ("weights are non-finite" in str(caught.value)) == bool(bad)
    assert "learning rate 1e+06" in str(caught.value)


def test_a_bad_example_ends_the_run_at_its_step() -> None:
    x = torch.randn(32, 6)
    x[20] = NAN  # the third batch
    with pytest.raises(NonFiniteLossError, match=r"step 3\b(.|\n)*inputs or targets of this batch"):
        trained(nn.Linear(6, 4), x)


def test_a_bad_example_anywhere_in_a_window_is_found() -> None:
    x = torch.randn(32, 6)
    x[2] = NAN
    with pytest.raises(NonFiniteLossError, match="inputs or targets of this batch"):
        trained(nn.Linear(6, 4), x, accumulate=3)


def test_what_a_module_computes_itself_around_its_layers_is_blamed_on_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.sqrt(self.linear(x) - 100)

    assert first_bad_layer(nn.Sequential(nn.Linear(6, 6), Net()), batch()) == "1 (Net)"


def test_the_gradient_norm_of_the_verdict_is_a_number() -> None:
    x = torch.randn(32, 6)
    x[20] = NAN
    with pytest.raises(NonFiniteLossError) as caught:
        trained(nn.Linear(6, 4), x)
    norm = str(caught.value).split("gradient norm ")[1].split(";")[0]
    assert math.isfinite(float(norm))
