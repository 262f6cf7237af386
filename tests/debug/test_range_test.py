"""The learning-rate range test: known curves, known limits, and nothing changed."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import mlkit
from mlkit.debug.range_test import _centred, _judged, lr_range_test
from mlkit.errors import ConfigError, DataError

X = torch.randn(256, 4, generator=torch.Generator().manual_seed(0))
Y = X[:, :3].argmax(1)


def _mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))


def test_a_quadratic_diverges_where_its_curvature_says() -> None:
    """Gradient descent on a/2 w² diverges from 2/a on: by the closed form."""
    curvature = 50.0

    class Bowl(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.w.expand(len(x), 1)

    def loss(output: Tensor, targets: Tensor) -> Tensor:
        return curvature / 2 * output.square().mean()

    def sgd(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=1.0)

    x = torch.zeros(64, 1)
    test = lr_range_test(Bowl(), (x, x), loss, sgd, low=1e-5, high=10, batch_size=64)
    assert test.diverges is not None
    assert 2 / curvature / 3 < test.diverges < 2 / curvature * 8
    assert test.suggestion is not None
    assert test.suggestion < 2 / curvature
    assert test.losses[-1] > 4 * test.losses[0]  # and it stopped then
    assert len(test.losses) < 120


def test_the_steepest_place_of_a_synthetic_curve_is_found_and_not_late() -> None:
    rates = [10 ** (-7 + 8 * i / 119) for i in range(120)]
    # A fall centred at 1e-3, a rise centred at 1.
    losses = [2 - math.tanh(2 * (math.log10(r) + 3)) + 4 / (1 + math.exp(-6 * math.log10(r))) for r in rates]
    test = _judged(rates, losses)
    assert test.steepest == pytest.approx(1e-3, rel=0.6)
    assert test.diverges is not None
    assert 0.05 < test.diverges < 2
    assert test.suggestion == min(test.steepest or 0, test.diverges / 10)


def test_smoothing_keeps_a_line_and_skips_what_is_not_finite() -> None:
    line = [3.0 - 0.1 * i for i in range(60)]
    smooth = _centred(line)
    assert smooth[30] == pytest.approx(line[30], abs=0.02)  # the ends are 30 batches away, of weight 0.85^30
    assert math.isnan(_centred([1.0, 2.0, math.nan])[-1])


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_the_suggestion_trains_whatever_the_scale(scale: float) -> None:
    """Inputs a thousand times as large want a smaller rate; both suggestions have to train."""

    def after(rate: float) -> float:
        model = _mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        for step in range(200):
            part = slice(32 * (step % 8), 32 * (step % 8) + 32)
            loss = nn.functional.cross_entropy(model(scale * X[part]), Y[part])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return float(nn.functional.cross_entropy(model(scale * X), Y).detach())

    test = lr_range_test(_mlp(), (scale * X, Y), optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=1), low=1e-9)
    assert test.suggestion is not None
    good, bad = after(test.suggestion), after(100 * test.suggestion)
    start = float(nn.functional.cross_entropy(_mlp()(scale * X), Y).detach())
    assert good < 0.8 * start
    if scale == 1:  # where single steps overshoot anyway, a hundred times as far may by luck end well
        assert not bad < 2 * good


def test_groups_keep_their_proportions() -> None:
    seen: list[tuple[float, float]] = []

    class Spy(torch.optim.SGD):
        def step(self, closure: object = None) -> None:  # type: ignore[override]
            seen.append((self.param_groups[0]["lr"], self.param_groups[1]["lr"]))
            super().step()

    def make(model: nn.Module) -> torch.optim.Optimizer:
        body, head = model.get_submodule("0"), model.get_submodule("2")
        return Spy([{"params": body.parameters(), "lr": 0.1}, {"params": head.parameters(), "lr": 0.02}])

    test = lr_range_test(_mlp(), (X, Y), optimizer=make)
    assert all(second == pytest.approx(first / 5) for first, second in seen)
    assert seen[0][0] == pytest.approx(test.rates[0])


@pytest.mark.parametrize("form", ["bundle", "pair", "loader", "data set"])
def test_whatever_training_is_given_and_nothing_is_changed(form: str) -> None:
    forms: dict[str, object] = {
        "bundle": mlkit.data.load("digits"),
        "pair": (X, Y),
        "loader": DataLoader(TensorDataset(X, Y), batch_size=16, shuffle=True),
        "data set": TensorDataset(X, Y),
    }
    data = forms[form]
    model = mlkit.models.mlp(64, 10) if form == "bundle" else _mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before, stream, rate = copy.deepcopy(model.state_dict()), torch.get_rng_state(), optimizer.param_groups[0]["lr"]
    first = lr_range_test(model, data, optimizer=optimizer)
    assert first.suggestion is not None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    assert optimizer.param_groups[0]["lr"] == rate
    assert not optimizer.state
    if form != "loader":  # whose order is the loader's own
        assert lr_range_test(model, data, optimizer=optimizer) == first


def test_where_nothing_can_be_seen_nothing_is_suggested() -> None:
    noise = torch.Generator().manual_seed(0)
    test = lr_range_test(_mlp(), (X, torch.randint(3, (256,), generator=noise)), low=1e-9, high=1e-8, steps=40)
    assert (test.suggestion, test.steepest, test.diverges) == (None, None, None)
    assert "nothing to go by" in test.because


def test_mistakes_and_the_ways_to_show_it() -> None:
    with pytest.raises(ConfigError, match="range test"):
        lr_range_test(_mlp(), (X, Y), low=1, high=0.1)
    with pytest.raises(ConfigError, match="range test"):
        lr_range_test(_mlp(), (X, Y), steps=3)
    with pytest.raises(DataError):
        lr_range_test(_mlp(), [])
    test = lr_range_test(_mlp(), (X, Y))
    assert max(map(len, str(test).splitlines())) <= 80
    assert json.loads(json.dumps(test.to_dict()))["suggestion"] == test.suggestion
    assert "<svg" in test._repr_html_()
