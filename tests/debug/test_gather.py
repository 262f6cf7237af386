"""Batches that no data set holds: generators over NumPy arrays are looked at in a copy that goes on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mlkit.debug.diagnose import findings
from mlkit.debug.facts import Facts
from mlkit.debug.watching import Watch
from tests.debug.probes.data_programs import only

Array = np.ndarray


def _table(count: int, seed: int) -> tuple[Array, Array]:
    centres = 2 * np.random.default_rng(99).normal(size=(4, 10))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 4, count)
    return (centres[y] + rng.normal(size=(count, 10))).astype(np.float32), y


def _batches(x: Array, y: Array, order: Array) -> Iterator[tuple[Tensor, Tensor]]:
    for at in range(0, len(order), 25):
        rows = order[at : at + 25]
        yield torch.from_numpy(x[rows]), torch.from_numpy(y[rows])


def _facts(x: Array, y: Array, val: tuple[Array, Array], *, shuffles: bool = True, classes: int = 4) -> Facts:
    with only("heads", "data-labels", "data-splits"), Watch() as watch:
        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        model = nn.Linear(10, classes)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(3):
            order = rng.permutation(len(x)) if shuffles else np.arange(len(x))
            for a, b in _batches(x, y, order):
                loss = nn.functional.cross_entropy(model(a), b)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.no_grad():
                for a, b in _batches(*val, np.arange(len(val[0]))):
                    (model(a).argmax(1) == b).float().mean()
    return watch._session.facts


def _codes(facts: Facts) -> set[str]:
    return {one.code for one in findings(facts) if one.severity != "info"}


@pytest.mark.parametrize("kind", ["sorted", "from one", "shared", "renamed", "healthy"])
def test_a_generator_shows_what_a_loader_would(kind: str) -> None:
    (x, y), (xv, yv) = _table(500, 1), _table(100, 2)
    shuffles, classes = True, 4
    expected: set[str] = set()
    if kind == "sorted":
        order = np.argsort(y, kind="stable")
        x, y, shuffles, expected = x[order], y[order], False, {"data.not-shuffled"}
    elif kind == "from one":
        y, yv, classes, expected = y + 1, yv + 1, 5, {"data.label-support"}
    elif kind == "shared":
        xv, yv, expected = np.concatenate([x[:40], xv]), np.concatenate([y[:40], yv]), {"data.split-overlap"}
    elif kind == "renamed":
        yv, expected = (yv + 1) % 4, {"data.class-order"}
    facts = _facts(x, y, (xv, yv), shuffles=shuffles, classes=classes)
    told = facts.trials["gather"]["gathered"]
    assert isinstance(told, dict)
    assert told["batches"] > 20
    assert {code for code in _codes(facts) if code.startswith("data.")} == expected
