"""`step.graph-cut`: each way to lose the gradient, with its line; not targets, estimators or averaged copies."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.graph-cut"


class Cut(Net):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.how == "detach":
            hidden = hidden.detach()
        elif self.how == "data":
            hidden = hidden.data
        elif self.how == "numpy":
            hidden = torch.from_numpy(hidden.detach().numpy())
        elif self.how == "numbers":
            hidden = torch.tensor(hidden.tolist())
        elif self.how == "no_grad":
            with torch.no_grad():
                hidden = self.second(hidden)
        elif self.how == "straight-through":
            hidden = hidden + (hidden.round() - hidden).detach()
        return self.head(torch.relu(self.second(hidden)))


def train(how: str) -> None:
    model = Cut(how)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("detach", "hidden = hidden.detach()"),
        ("data", "hidden = hidden.data"),
        ("numpy", "hidden = torch.from_numpy(hidden.detach().numpy())"),
        ("numbers", "hidden = torch.tensor(hidden.tolist())"),
        ("no_grad", "hidden = self.second(hidden)"),
    ],
)
def test_each_way(how: str, line: str) -> None:
    [finding] = found(lambda: train(how), CODE, "reach")
    assert source(finding) == line
    assert finding.severity == "error"
    assert "Net" in finding.message or "Cut.first" in finding.message


@pytest.mark.parametrize("hidden_by", ["requires_grad_", ""])
def test_a_loss_without_a_graph(hidden_by: str) -> None:
    def program() -> None:
        model = Net()
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(STEPS):
            x, y = batch()
            guess = model(x).argmax(1)
            loss = (guess - y).float().square().mean()
            if hidden_by:
                loss.requires_grad_()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    [finding] = found(program, CODE, "reach")
    assert source(finding) == "guess = model(x).argmax(1)"


def averaged() -> None:
    model = nn.ModuleDict({"online": Net()})
    model["target"] = copy.deepcopy(model["online"])
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(STEPS):
        x, _ = batch()
        with torch.no_grad():
            aim = model["target"](x)
        optimizer.zero_grad()
        F.mse_loss(model["online"](x + 0.1), aim).backward()
        optimizer.step()
        with torch.no_grad():
            for one, other in zip(model["target"].parameters(), model["online"].parameters(), strict=True):
                one.lerp_(other, 0.1)


def test_look_alikes_are_quiet() -> None:
    assert not found(lambda: train("straight-through"), CODE, "reach")
    assert not found(averaged, CODE, "reach")
