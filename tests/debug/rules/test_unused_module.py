"""`model.unused-module` is a note about a layer that no call reads; layers that are read are none."""

import torch
from torch.nn import functional as F

from mlkit.debug.rules.unused_module import check
from tests.debug.live import STEPS, Net, batch, observed


class Spare(Net):
    def __init__(self) -> None:
        super().__init__()
        self.spare = torch.nn.Linear(12, 3)


def train(model: Net) -> None:
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(STEPS):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_a_spare_layer_is_a_note() -> None:
    [finding] = check(observed(lambda: train(Spare()), "reach"))
    assert finding.severity == "info"
    assert "Spare.spare" in finding.message
    assert finding.site is not None
    assert finding.site.source == "self.spare = torch.nn.Linear(12, 3)"
    assert not list(check(observed(lambda: train(Net()), "reach")))
