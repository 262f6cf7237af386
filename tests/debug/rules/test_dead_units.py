"""`model.dead-units`: a layer that its bias keeps below zero; not a bias of that kind on the last layer."""

import torch
from torch import nn

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "model.dead-units"


def train(layer: str) -> None:
    model = Net()
    nn.init.constant_(getattr(model, layer).bias, -9.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        x, y = batch(32)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_bias_that_silences_a_hidden_layer_is_found_at_its_line() -> None:
    [finding] = found(lambda: train("second"), CODE, "dead_units")
    assert finding.severity == "error"
    assert "constant_" in source(finding)


def test_the_same_bias_on_the_last_layer_is_healthy() -> None:
    assert not found(lambda: train("head"), CODE, "dead_units")
