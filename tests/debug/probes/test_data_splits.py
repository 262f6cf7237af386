"""Two parts of the data against each other: shared items, shared statistics, renamed classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset, random_split

from tests.debug.probes.data_programs import clusters, measured, train


def _splits(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> dict[str, object]:
    def program() -> None:
        train(DataLoader(TensorDataset(*one), 32, shuffle=True), DataLoader(TensorDataset(*other), 50))

    return dict(measured(program, "data-splits", "eval"))


def test_shared_rows_are_counted() -> None:
    x, y = clusters(200)
    overlap = _splits((x, y), (x[150:], y[150:]))["overlap"]
    assert isinstance(overlap, dict)
    assert overlap["shared"] == overlap["of"] == 50
    fresh = _splits((x, y), clusters(50, seed=1))["overlap"]
    assert isinstance(fresh, dict)
    assert fresh["shared"] == 0


def test_renamed_classes_are_seen_by_the_nearest_items() -> None:
    x, y = clusters(60, seed=1)
    labels = _splits(clusters(200), (x, (y + 1) % 4))["labels"]
    assert isinstance(labels, dict)
    assert labels["agreement"] < 0.1
    assert labels["renamed"] > 0.9


def test_a_scaler_of_all_rows_is_seen_in_the_union() -> None:
    def program(*, leaks: bool) -> None:
        x, y = clusters(200)
        known = x if leaks else x[:150]
        x = (x - known.mean(0)) / known.std(0)
        parts = random_split(TensorDataset(x, y), [150, 50]) if leaks else (
            TensorDataset(x[:150], y[:150]), TensorDataset(x[150:], y[150:])
        )  # fmt: skip
        train(DataLoader(parts[0], 32, shuffle=True), DataLoader(parts[1], 50))

    assert measured(lambda: program(leaks=True), "data-splits", "eval")["scaler"]
    assert not measured(lambda: program(leaks=False), "data-splits", "eval")["scaler"]


def test_scale_of_what_the_model_is_given() -> None:
    x, y = clusters(50, seed=1)
    given = _splits(clusters(200), (x * 100, y))["given"]
    assert isinstance(given, dict)
    assert given["std"] > 100
    assert torch.isfinite(torch.tensor(given["mean"]))
