"""`model.no-nonlinearity`: layers without an activation between; not one layer, low rank, or a real network."""

import pytest
import torch
from torch import nn

from tests.debug.live import STEPS, batch, found, source

CODE = "model.no-nonlinearity"
MODELS = {
    "linear": lambda: nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.1), nn.Linear(16, 3), nn.LogSoftmax(1)),
    "relu": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3), nn.LogSoftmax(1)),
    "one": lambda: nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(1)),
    "low rank": lambda: nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 3), nn.LogSoftmax(1)),
}


def train(kind: str) -> None:
    model = MODELS[kind]()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        nn.functional.nll_loss(model(x), y).backward()
        optimizer.step()


def test_linear_layers_in_a_row_are_found_where_they_are_built() -> None:
    [finding] = found(lambda: train("linear"), CODE, "affine")
    assert finding.severity == "error"
    assert source(finding).startswith('"linear"')


@pytest.mark.parametrize("kind", ["relu", "one", "low rank"])
def test_healthy_look_alikes(kind: str) -> None:
    assert not found(lambda: train(kind), CODE, "affine")
