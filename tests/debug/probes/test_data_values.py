"""What enters the first layer, and what is not finite, for loaders and for tensors cut by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mlkit.debug.probes.data_values import lattice
from tests.debug.probes.data_programs import clusters, measured, train


def test_nan_is_found_in_the_whole_set_whichever_way_it_is_held() -> None:
    def by_loader() -> None:
        x, y = clusters(200)
        x[7, 3] = float("nan")
        train(DataLoader(TensorDataset(x, y), 32, shuffle=True))

    def by_hand() -> None:
        x, y = clusters(200)
        x[7, 3] = float("nan")
        model = nn.Linear(16, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for rows in torch.randperm(200).split(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()

    for program in (by_loader, by_hand):
        found = measured(program, "data-values")
        assert (found["size"], found["bad_rows"], found["first_bad"], found["bad_columns"]) == (200, 1, 7, [3])


def test_one_normalisation_applied_again_in_the_loop() -> None:
    def program(times: int) -> None:
        x, y = clusters(200)
        model = nn.Linear(16, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for rows in torch.randperm(200).split(20):
            batch = x[rows]
            for _ in range(times):
                batch = (batch - 0.45) / 0.22
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), y[rows]).backward()
            optimizer.step()

    assert measured(lambda: program(2), "data-values")["twice"]
    assert not measured(lambda: program(1), "data-values")["twice"]


def test_levels_of_a_byte() -> None:
    pixels = torch.randint(0, 256, (5000,))
    step = lattice((pixels / 255 - 0.5) / 0.2)
    assert step is not None
    assert abs(step - 1 / 255 / 0.2) < 1e-4
    assert lattice(torch.randn(5000)) is None
