"""`model.state-leak`: a state kept between shuffled batches; not one that is reset, or goes on with its stream."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.debug.live import found, source

CODE = "model.state-leak"


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.GRU(2, 8, batch_first=True), nn.Linear(8, 1)
        self.state: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        states, state = self.rnn(x, self.state)
        self.state = state.detach()
        return self.out(states[:, -1])[:, 0]


def train(*, shuffles: bool, resets: bool) -> None:
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(64, 5, 2)
    for x_batch, y_batch in DataLoader(TensorDataset(x, x.sum((1, 2))), batch_size=8, shuffle=shuffles):
        if resets:
            model.state = None
        optimizer.zero_grad()
        (model(x_batch) - y_batch).pow(2).mean().backward()
        optimizer.step()


def test_state_of_strangers_is_found_where_it_enters() -> None:
    [finding] = found(lambda: train(shuffles=True, resets=False), CODE, "state")
    assert finding.severity == "error"
    assert "self.rnn(x, self.state)" in source(finding)


@pytest.mark.parametrize(("shuffles", "resets"), [(True, True), (False, False)])
def test_reset_or_in_order_is_healthy(shuffles: bool, resets: bool) -> None:
    assert not found(lambda: train(shuffles=shuffles, resets=resets), CODE, "state")
