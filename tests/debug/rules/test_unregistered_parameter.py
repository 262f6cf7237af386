"""`step.unregistered-parameter`: layers in plain containers, bare tensors; not hidden layers held or unused."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.debug.live import STEPS, batch, found, source

CODE = "step.unregistered-parameter"


class InList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = [nn.Linear(8, 8) for _ in range(2)]
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x)


class BareTensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.scale = torch.ones(8, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x * self.scale)


class Teacher(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.teacher = (nn.Linear(8, 3),)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            aim = self.teacher[0](x)
        return self.head(x) + 0.1 * aim


class Collocation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.points = torch.linspace(0, 1, 16)[:, None].requires_grad_()

    def forward(self, x: Tensor) -> Tensor:
        value = self.net(self.points)
        (slope,) = torch.autograd.grad(value.sum(), self.points, create_graph=True)
        return (slope - value).square().mean().expand(len(x), 3) + 0 * x[:, :3]


def train(model: nn.Module, *hidden: nn.Parameter) -> None:
    optimizer = torch.optim.Adam([*model.parameters(), *hidden])
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_layers_in_a_list_and_a_bare_tensor() -> None:
    [finding] = found(lambda: train(InList()), CODE, "reach")
    assert source(finding).startswith("self.blocks = [")
    [finding] = found(lambda: train(BareTensor()), CODE, "reach")
    assert source(finding).startswith("self.scale = ")


def test_held_teachers_and_inputs_are_quiet() -> None:
    def held() -> None:
        model = InList()
        train(model, *(one for block in model.blocks for one in block.parameters()))

    assert not found(held, CODE, "reach")
    assert not found(lambda: train(Teacher()), CODE, "reach")
    assert not found(lambda: train(Collocation()), CODE, "reach")


class Chain(nn.Module):
    def __init__(self, *, listed: bool) -> None:
        super().__init__()
        parts = [nn.Linear(8, 8) for _ in range(2)]
        self.parts = nn.ModuleList(parts) if listed else parts
        self.head = nn.Linear(8, 3)

    def scores(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = torch.relu(part(x))
        return self.head(x)


def test_layers_of_a_model_whose_forward_is_never_called() -> None:
    def program(*, listed: bool) -> None:
        model = Chain(listed=listed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            x, y = batch()
            loss = F.cross_entropy(model.scores(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert len(found(lambda: program(listed=False), CODE, "reach")) == 1
    assert found(lambda: program(listed=True), CODE, "reach") == []
