"""Bytes that wrap around in torch or NumPy, and batches that are views written into."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from tests.debug.probes.data_programs import measured, train


class Bytes(Dataset):
    """Byte pictures whose mean is taken off, in bytes or in floats."""

    def __init__(self, *, wraps: bool) -> None:
        rng = np.random.default_rng(0)
        self.images, self.y = rng.integers(0, 256, (80, 4, 4), dtype=np.uint8), rng.integers(0, 4, 80)
        self.mean, self.wraps = self.images.mean(0).astype(np.uint8), wraps

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = self.images[index] if self.wraps else self.images[index].astype(np.float32)
        return torch.from_numpy((image - self.mean).astype(np.float32) / 64), int(self.y[index])


def test_numpy_bytes_while_an_item_is_read() -> None:
    found = measured(lambda: train(DataLoader(Bytes(wraps=True), 16, shuffle=True)), "data-wraparound")
    assert found["op"] == "subtract"
    assert "image - self.mean" in found["site"].source  # type: ignore[attr-defined]
    assert measured(lambda: train(DataLoader(Bytes(wraps=False), 16, shuffle=True)), "data-wraparound") == {}


def _by_hand(change: Any) -> None:
    x, y = torch.randint(0, 256, (80, 16), dtype=torch.uint8), torch.randint(4, (80,))
    whole = x.float() / 255
    model = nn.Linear(16, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for start in range(0, 80, 20):
        batch = change(x[start : start + 20], whole[start : start + 20])
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), y[start : start + 20]).backward()
        optimizer.step()


def test_torch_bytes() -> None:
    assert measured(lambda: _by_hand(lambda x, whole: (x - 128).float() / 64), "data-wraparound")["is_proven"]
    assert measured(lambda: _by_hand(lambda x, whole: (x.float() - 128) / 64), "data-wraparound") == {}


def test_a_slice_that_is_written_into() -> None:
    found = measured(lambda: _by_hand(lambda x, whole: whole.add_(0.1)), "data-written")
    assert (found["rows"], found["of"]) == (20, 80)
    assert measured(lambda: _by_hand(lambda x, whole: whole + 0.1), "data-written") == {}
