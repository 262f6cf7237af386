from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.models import lstm, mlp
from mlkit.population.stacked.dropout import set_step, use_keyed_dropout
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.stack import Stack
from mlkit.population.stacked.vmapped import VmapStack
from tests.population.stacked.zoo import ARCHITECTURES, difference

SIZE = 3


class Own(nn.Module):
    """What `Stack` refuses: a parameter and a buffer beside layers, and one dropout used twice."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.scale = nn.Parameter(torch.randn(4))
        self.register_buffer("shift", torch.randn(4))
        self.layer, self.norm, self.dropout = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.3)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x * self.scale + self.shift)
        y: Tensor = self.dropout(torch.tanh(self.norm(self.layer(x))))
        return y


@pytest.mark.parametrize("shared", [True, False])
def test_outputs_gradients_and_buffers_equal_the_loop(shared: bool) -> None:
    models = [Own(k) for k in range(SIZE)]
    with pytest.raises(CannotStackError):
        Stack.of(models, keys=range(SIZE))
    stack = VmapStack.of(models, keys=[5, 6, 7])
    alone = copy.deepcopy(models)
    for k, model in enumerate(alone):
        use_keyed_dropout(model, 5 + k)
    x = torch.randn(*(() if shared else (SIZE,)), 6, 4, dtype=torch.float64)
    for step in range(3):
        stack.set_step(step)
        outputs = stack.forward((x,), shared=shared)
        gradients = stack.gradients(outputs.square().flatten(1).sum(1))
        for k, model in enumerate(alone):
            set_step(model, step)
            model.zero_grad()
            output = model(x if shared else x[k])
            output.square().sum().backward()
            torch.testing.assert_close(outputs[k], output, rtol=1e-12, atol=1e-12)
            for name, parameter in model.named_parameters():
                torch.testing.assert_close(gradients[name][k], parameter.grad, rtol=1e-11, atol=1e-11)
            assert difference(stack.state_dict_of(k), dict(model.state_dict())) < 1e-12
    stack.train(False)
    assert torch.equal(stack.forward((x,), shared=shared), stack.forward((x,), shared=shared))


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet"])
def test_both_stacks_draw_and_compute_the_same(name: str) -> None:
    make, shape = ARCHITECTURES[name]
    models = [make(k) for k in range(SIZE)]
    x = torch.randn(4, *shape, dtype=torch.float64)
    outputs = []
    for kind in (Stack, VmapStack):
        stack = kind.of(models, keys=range(SIZE))
        stack.set_dropout(torch.tensor([0.0, 0.5, float("nan")]))
        stack.select([2, 1])
        stack.set_step(8)
        outputs.append(stack.forward({"x": x}, shared=True))
        assert list(stack.state_dict_of(0)) == list(models[0].state_dict())
    torch.testing.assert_close(*outputs, rtol=1e-11, atol=1e-12)


def test_states_go_in_and_out() -> None:
    models = [mlp(4, 2, normalization="batch", seed=k) for k in range(SIZE)]
    stack, other = VmapStack.of(models, keys=range(SIZE)), VmapStack.of(models[::-1], keys=range(SIZE))
    other.load_state_dicts([stack.state_dict_of(k) for k in range(SIZE)])
    assert difference(stack.state(), other.state()) == 0
    third = VmapStack.of(models[::-1], keys=[7, 8, 9])
    third.load_state(stack.state())
    assert difference(stack.state(), third.state()) == 0
    with pytest.raises(CannotStackError):
        third.load_state({"keys": torch.zeros(3)})


def test_a_parameter_used_twice_stays_one() -> None:
    def make() -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        model[1].weight = model[0].weight
        return model

    models = [make(), make()]
    stack = VmapStack.of(models, keys=range(2))
    assert list(stack.parameters) == ["0.weight"]
    assert stack.state_dict_of(1).keys() == models[1].state_dict().keys()
    x = torch.randn(4, 3)
    torch.testing.assert_close(stack.forward((x,), shared=True)[1], models[1](x))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y if y.sum() > 0 else -y


class Slow(Branches):
    """An operation that torch.func runs example by example, with a warning."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.histc(self.layer(x).detach(), 4, 0, 1) + 0 * self.layer(x).sum()


class Draws(Branches):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.layer(x), 0.5, self.training)


@pytest.mark.parametrize("make", [Branches, Slow, Draws])
def test_what_vmap_cannot_do_or_only_slowly_is_refused(make: Callable[[], nn.Module]) -> None:
    stack = VmapStack.of([make() for _ in range(2)], keys=range(2))
    with pytest.raises(CannotStackError, match="vmap"):
        stack.forward((torch.randn(4, 3),), shared=True)


def test_recurrent_layers_are_refused_by_name() -> None:
    with pytest.raises(CannotStackError, match="encoder: PyTorch has no batching rule for LSTM"):
        VmapStack.of([lstm(2, 2, hidden=3) for _ in range(2)], keys=range(2))
    with pytest.raises(CannotStackError, match="0: PyTorch has no batching rule for GRUCell"):
        VmapStack.of([nn.Sequential(nn.GRUCell(3, 3)) for _ in range(2)], keys=range(2))
