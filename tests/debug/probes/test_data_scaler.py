"""Statistics of the union: windows of a series that was scaled as a whole, and a table drawn at random."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mlkit.debug.examples import Examples
from mlkit.debug.probes.data_scaler import is_series
from tests.debug.probes.data_programs import measured


def _series(count: int) -> Tensor:
    t = torch.arange(float(count))
    noise = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    return torch.stack([(t / 20).sin() + t / 50, (t / 31).cos() - t / 80], 1) + 0.1 * noise


@pytest.mark.parametrize("leaks", [True, False])
def test_windows_of_a_series_that_was_scaled_as_a_whole(leaks: bool) -> None:
    def program() -> None:
        torch.manual_seed(0)
        series = _series(400)
        known = series if leaks else series[:300]
        series = (series - known.mean(0)) / known.std(0)
        train, val = (part.unfold(0, 12, 1) for part in (series[:300], series[300:]))
        model = nn.Sequential(nn.Flatten(), nn.Linear(24, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(2):
            for rows in torch.randperm(len(train)).split(30):
                loss = (model(train[rows])[:, 0] - train[rows][:, 0, -1]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                model(val)

    told = measured(program, "data-splits", "eval")["scaler"]
    assert isinstance(told, dict)
    assert bool(told) is leaks
    if leaks:
        assert told["attribute"] == "series"
        assert told["is_series"]
        assert told["off_train"] > 10 * told["by_chance"]


def test_a_series_is_told_from_shuffled_rows() -> None:
    series = _series(300)
    assert is_series(Examples(inputs=[series]))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    assert not is_series(Examples(inputs=[series[order]]))
