"""Where numbers were made: behind slices and copies, and behind the conversion of an array."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mlkit.debug.births import Births
from mlkit.debug.watching import Watch


def _trained_on(make: object) -> tuple[Births, Tensor]:
    assert callable(make)
    with Watch(trials=False) as watch:
        x = make()
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for rows in torch.arange(len(x)).split(8):
            loss = model(x[rows]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return watch._session.data.births, x


def test_a_part_has_the_line_of_the_whole() -> None:
    def make() -> Tensor:
        whole = torch.randn(64, 4)
        return whole[torch.randperm(64)][:32].clone()

    births, x = _trained_on(make)
    site = births.of(x)
    assert site is not None
    assert site.source == "whole = torch.randn(64, 4)"


def test_a_conversion_has_the_line_of_its_array() -> None:
    def make() -> Tensor:
        table = np.ones((32, 4), dtype=np.float32)
        table /= 255.0
        return torch.from_numpy(table)

    births, x = _trained_on(make)
    site = births.of(x)
    assert site is not None
    assert site.source == "table /= 255.0"


def test_nothing_is_told_of_a_tensor_that_was_not_seen() -> None:
    births, _ = _trained_on(lambda: torch.ones(16, 4))
    assert births.of(torch.ones(77)) is None
