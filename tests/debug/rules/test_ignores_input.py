"""`model.ignores-input`: an input lost on the way, or a constant fed; not a last layer that starts at zero."""

import pytest
import torch
from torch import Tensor, nn

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "model.ignores-input"


class Losing(Net):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        if how == "zero head":
            nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        if self.how == "lost":
            hidden = torch.ones_like(hidden)
        return self.head(torch.relu(self.second(hidden)))


def train(how: str) -> None:
    model = Losing(how)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x, y = batch()
        out = model(torch.ones_like(x) if how == "constant" else x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(out, y).backward()
        optimizer.step()


def test_a_lost_input_is_found_where_it_is_lost() -> None:
    [finding] = found(lambda: train("lost"), CODE, "input_use")
    assert finding.severity == "error"
    assert "ones_like" in source(finding)


def test_a_constant_in_place_of_the_batch() -> None:
    [finding] = found(lambda: train("constant"), CODE, "input_use")
    assert finding.severity == "warning"
    assert "out = model" in source(finding)


@pytest.mark.parametrize("how", ["none", "zero head"])
def test_healthy(how: str) -> None:
    assert not found(lambda: train(how), CODE, "input_use")
