"""Stored data before and after a batch is taken: changed in place or copied, tables and lists, the line in NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mlkit.debug.sites import Locator
from mlkit.debug.stored import Stored
from mlkit.debug.trace import Trace


def _taken(table: np.ndarray, *, copies: bool) -> Tensor:
    rows = []
    for row in (3, 17, 21, 30):
        item = table[row].copy() if copies else table[row]
        item[:2] = -9.0
        rows.append(item)
    return torch.from_numpy(np.stack(rows))


def test_items_that_are_changed_and_fed_are_told() -> None:
    table = np.random.default_rng(0).normal(size=(40, 6))
    before = Stored(Locator())
    found = before.compare(_taken(table, copies=False), Trace())
    assert found["changed"] == 4
    assert found["name"] == "table"


def test_copies_are_quiet_and_so_is_a_buffer_that_is_not_fed() -> None:
    table = np.random.default_rng(0).normal(size=(40, 6))
    buffer = np.zeros((40, 6))
    before = Stored(Locator())
    fed = _taken(table, copies=True)
    buffer[:4] = 7.0
    assert before.compare(fed, Trace()) == {}


def test_items_of_a_list_count_as_rows_and_the_line_is_found() -> None:
    items = [torch.randn(6, generator=torch.Generator().manual_seed(at)) for at in range(30)]
    before = Stored(Locator())
    for at in range(4):
        items[at][0] = 5.0
    assert before.compare(torch.stack(items[:4]), Trace())["changed"] == 4
    before.watch_lines()
    items[7][1] = 6.0
    after = before.line()
    assert after is not None
    assert after.source == "items[7][1] = 6.0"
