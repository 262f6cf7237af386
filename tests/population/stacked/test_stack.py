from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.models import mlp
from mlkit.models.blocks import Scale
from mlkit.population.stacked.convert import register_stacked
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.layers import StackedLinear
from mlkit.population.stacked.stack import Stack
from tests.population.stacked.zoo import ARCHITECTURES, difference


def linears(size: int, **settings: Any) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Linear(3, 2, **settings).double() for _ in range(size)]


def test_the_models_given_are_unchanged_and_copied() -> None:
    models = linears(3)
    before = [copy.deepcopy(model.state_dict()) for model in models]
    stack = Stack.of(models, keys=range(3))
    for parameter in stack.parameters.values():
        parameter.data.add_(1)
    for model, state in zip(models, before, strict=True):
        assert difference(dict(model.state_dict()), state) == 0
    assert type(models[0]) is nn.Linear


class Residual(nn.Module):
    """Adds its input to what a layer makes of it: the input must be repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class Gathers(nn.Module):
    """With the batch shared it would quietly take the first member's rows for all."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        order = x.argsort(1)
        y: Tensor = self.head(self.layer(x).gather(1, order))
        return y


class Joined(nn.Module):
    """Examples and steps in one axis, as in models of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        rows, steps, width = x.shape
        y: Tensor = self.head(self.layer(x.reshape(rows * steps, width)).view(-1, steps, 4).mean(1))
        return y


@pytest.mark.parametrize("alike", [True, False], ids=["equal weights", "different weights"])
@pytest.mark.parametrize(
    ("kind", "shape", "keeps"), [(Residual, (3,), False), (Gathers, (3,), False), (Joined, (4, 3), False)]
)
def test_forwards_that_need_the_input_repeated_get_it(
    kind: type[nn.Module], shape: tuple[int, ...], keeps: bool, alike: bool
) -> None:
    # Four members and four steps: the product of examples and steps looks like folded rows.
    torch.manual_seed(0)
    models = [kind().double() for _ in range(4)]
    if alike:
        for model in models[1:]:
            model.load_state_dict(models[0].state_dict())
    stack = Stack.of(models, keys=range(4))
    x = torch.randn(5, *shape, dtype=torch.float64)
    stack.forward((x,), shared=True)
    with torch.no_grad():  # as training would make them differ
        for k, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.add_(k)
                stack.parameters[name][k] = parameter
    outputs = stack.forward((x,), shared=True)
    for k, model in enumerate(models):
        torch.testing.assert_close(outputs[k], model(x), rtol=1e-12, atol=1e-12)
    assert stack._keeps_shared is keeps


def test_an_ordinary_batch_stays_one_until_the_first_layer() -> None:
    stack = Stack.of([mlp(4, 2, hidden=(8,), seed=k) for k in range(3)], keys=range(3))
    stack.forward((torch.zeros(5, 4),), shared=True)
    assert stack._keeps_shared


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_trying_leaves_no_trace(name: str) -> None:
    make, shape = ARCHITECTURES[name]
    x = torch.randn(4, *shape, dtype=torch.float64)
    first, second = (Stack.of([make(k) for k in range(3)], keys=range(3)) for _ in range(2))
    second._keeps_shared = False  # nothing to find out
    second._draws_nothing = True
    a, b = (stack.forward((x,), shared=True) for stack in (first, second))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert difference(first.state(), second.state()) < 1e-12
    assert all(torch.equal(first.parameters[n], second.parameters[n]) for n in first.parameters)


def test_numbers_and_categories_as_a_mapping_and_as_a_tuple() -> None:
    models = [mlp(3, 2, hidden=(8,), cardinalities=(4,), seed=k) for k in range(3)]
    stack = Stack.of(models, keys=range(3))
    x, categories = torch.randn(5, 3), torch.randint(0, 4, (5, 1))
    by_name = stack.forward({"x": x, "categorical": categories}, shared=True)
    torch.testing.assert_close(by_name, stack.forward((x, categories), shared=True))
    torch.testing.assert_close(by_name[1], models[1](x, categories))
    own: Mapping[str, Tensor] = {"x": torch.stack([x, 2 * x, x]), "categorical": torch.stack([categories] * 3)}
    torch.testing.assert_close(stack.forward(own, shared=False)[1], models[1](2 * x, categories))


class Draws(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.layer(x), 0.5, self.training)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_a_forward_that_draws_by_itself_is_refused(size: int, shared: bool) -> None:
    stack = Stack.of([Draws() for _ in range(size)], keys=range(size))
    before = torch.get_rng_state()
    x = torch.zeros(4, 3) if shared else torch.zeros(size, 4, 3)
    with pytest.raises(CannotStackError, match="draws random numbers itself"):
        stack.forward((x,), shared=shared)
    assert torch.equal(before, torch.get_rng_state())


class Positions(nn.Module):
    """A table of positions has no axis of examples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(3, 3), nn.Embedding(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.table(torch.arange(x.shape[1]))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.layer(x), x


def test_what_does_not_carry_the_examples_is_refused_with_the_layer() -> None:
    with pytest.raises(CannotStackError, match=r"table \(Embedding\): its input does not have the examples on axis 0"):
        Stack.of([Positions() for _ in range(2)], keys=range(2)).forward((torch.zeros(2, 5, 7, 3),), shared=False)
    with pytest.raises(CannotStackError, match="no tensor"):
        Stack.of([Pair() for _ in range(2)], keys=range(2)).forward((torch.zeros(5, 3),), shared=True)


def test_a_parameter_used_twice_stays_one() -> None:
    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False)).double()
        model[2].weight = model[0].weight
        return model

    models = [make() for _ in range(2)]
    stack = Stack.of(models, keys=range(2))
    assert list(stack.parameters) == ["0.weight"]
    x = torch.randn(4, 3, dtype=torch.float64)
    gradient = stack.gradients(stack.forward((x,), shared=True).square().sum((1, 2)))["0.weight"]
    for k, model in enumerate(models):
        model(x).square().sum().backward()
        torch.testing.assert_close(gradient[k], model[0].weight.grad)
        assert stack.state_dict_of(k).keys() == model.state_dict().keys()


def test_frozen_parameters_are_held_but_not_trained() -> None:
    models = [nn.Sequential(nn.Linear(3, 3).requires_grad_(False), nn.Linear(3, 1)) for _ in range(2)]
    stack = Stack.of(models, keys=range(2))
    assert list(stack.parameters) == ["1.weight", "1.bias"]
    assert stack.state_dict_of(1).keys() == models[1].state_dict().keys()


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_states_go_in_and_out(name: str) -> None:
    make, _ = ARCHITECTURES[name]
    models = [make(k) for k in range(3)]
    stack = Stack.of(models, keys=range(3))
    for k, model in enumerate(models):
        assert difference(stack.state_dict_of(k), dict(model.state_dict())) == 0
    other = Stack.of([make(k) for k in (7, 8, 9)], keys=[4, 5, 6])
    other.load_state_dicts([stack.state_dict_of(k) for k in range(3)])
    assert difference(other.state_dict_of(2), stack.state_dict_of(2)) == 0
    assert other.fold.keys.tolist() == [4, 5, 6]
    other.load_state(stack.state())
    assert difference(other.state(), stack.state()) == 0
    make(0).load_state_dict(other.state_dict_of(1))
    with pytest.raises(CannotStackError, match="other members"):
        other.load_state({**stack.state(), "keys": torch.zeros(2, dtype=torch.int64)})


def test_select_keeps_members_in_the_order_asked_for() -> None:
    models = [mlp(4, 2, hidden=(8,), dropout=0.1 * (k + 1), normalization="batch", seed=k) for k in range(4)]
    stack = Stack.of(models, keys=[10, 11, 12, 13])
    parameters = dict(stack.parameters)
    stack.select([3, 1])
    assert stack.size == 2
    assert stack.fold.keys.tolist() == [13, 11]
    for place, k in enumerate((3, 1)):
        assert difference(stack.state_dict_of(place), dict(models[k].state_dict())) == 0
    assert all(stack.parameters[name] is tensor and len(tensor) == 2 for name, tensor in parameters.items())
    stack.set_dropout(None)
    assert next(stack._dropouts()).rates.tolist() == pytest.approx([0.4, 0.2])


def test_rates_of_dropout_can_be_set_for_some_members() -> None:
    stack = Stack.of([nn.Sequential(nn.Linear(3, 200), nn.Dropout(0.5)) for _ in range(3)], keys=range(3))
    stack.set_dropout(torch.tensor([0.0, 0.9, float("nan")]))
    dropped = (stack.forward((torch.ones(40, 3),), shared=True) == 0).double().mean((1, 2))
    torch.testing.assert_close(dropped, torch.tensor([0.0, 0.9, 0.5]).double(), atol=0.03, rtol=0)


class MyLinear(nn.Linear):
    pass


def test_a_layer_of_ones_own_can_be_registered() -> None:
    register_stacked(MyLinear, StackedLinear)
    models = [nn.Sequential(MyLinear(3, 2), Scale()) for _ in range(2)]
    x = torch.randn(4, 3)
    outputs = Stack.of(models, keys=range(2)).forward((x,), shared=True)
    torch.testing.assert_close(outputs[1], models[1](x))


def test_keys_are_one_a_member() -> None:
    with pytest.raises(CannotStackError, match="as many keys"):
        Stack.of(linears(2), keys=[1])
    with pytest.raises(CannotStackError, match="no members"):
        Stack.of([], keys=[])
