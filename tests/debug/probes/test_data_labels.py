"""Counts and order of the labels, for loaders and for tensors cut by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.debug.probes.data_programs import clusters, measured, train


def test_sorted_data_read_in_order() -> None:
    x, y = clusters(200)
    order = y.argsort(stable=True)
    data = TensorDataset(x[order], y[order])
    found = measured(lambda: train(DataLoader(data, 32)), "data-labels")
    assert found["counts"] == torch.bincount(y).tolist()
    assert float(str(found["neighbours_alike"])) > 0.9
    assert "neighbours_alike" not in measured(lambda: train(DataLoader(data, 32, shuffle=True)), "data-labels")


def test_slices_are_in_order_and_permuted_rows_are_not() -> None:
    def program(*, shuffles: bool) -> None:
        x, y = clusters(200)
        order = y.argsort(stable=True)
        x, y = x[order], y[order]
        model = nn.Linear(16, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for start in range(0, 200, 20):
            rows = torch.randperm(200)[:20] if shuffles else slice(start, start + 20)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    assert "neighbours_alike" in measured(lambda: program(shuffles=False), "data-labels")
    assert "neighbours_alike" not in measured(lambda: program(shuffles=True), "data-labels")
