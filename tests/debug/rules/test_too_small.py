"""`model.too-small`: ten classes through one unit; not through enough of them, and not an autoencoder."""

import torch
from torch import nn

from tests.debug.live import STEPS, found, source

CODE = "model.too-small"


def train(width: int, *, rebuilds: bool = False) -> None:
    model = nn.Sequential(nn.Linear(16, width), nn.Tanh(), nn.Linear(width, 16 if rebuilds else 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        x = torch.randn(40, 16)
        out = model(x)
        loss = (out - x).pow(2).mean() if rebuilds else nn.functional.cross_entropy(out, x[:, :10].argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_one_unit_for_ten_classes_is_found_where_it_is_built() -> None:
    [finding] = found(lambda: train(1), CODE, "capacity")
    assert finding.severity == "warning"
    assert "nn.Linear(16, width)" in source(finding)


def test_wide_layers_and_autoencoders_are_healthy() -> None:
    assert not found(lambda: train(48), CODE, "capacity")
    assert not found(lambda: train(1, rebuilds=True), CODE, "capacity")
