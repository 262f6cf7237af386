"""`model.init-too-large`: weights of deviation one on wide layers; not usual ones, nor before a normalisation."""

import torch
from torch import nn

from tests.debug.live import STEPS, found, source

CODE = "model.init-too-large"


def train(*, deviation: float, normalises: bool = False) -> None:
    norm = nn.LayerNorm(64) if normalises else nn.Identity()
    first, last = nn.Linear(64, 64), nn.Linear(64, 3)
    nn.init.normal_(first.weight, std=deviation)
    if not normalises:
        nn.init.normal_(last.weight, std=deviation)
    model = nn.Sequential(first, norm, nn.ReLU(), last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        x = torch.randn(32, 64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), x[:, :3].argmax(1)).backward()
        optimizer.step()


def test_deviation_one_is_found_where_it_is_drawn() -> None:
    [finding] = found(lambda: train(deviation=1.0), CODE, "initial_scale", "chance")
    assert finding.severity == "error"
    assert "nn.init.normal_" in source(finding)


def test_usual_and_normalised_weights_are_healthy() -> None:
    assert not found(lambda: train(deviation=0.1), CODE, "initial_scale", "chance")
    assert not found(lambda: train(deviation=1.0, normalises=True), CODE, "initial_scale", "chance")
