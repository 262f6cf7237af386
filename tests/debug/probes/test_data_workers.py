"""Two workers, played: a generator that each copies, one of torch's that each seeds, and a stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from tests.debug.probes.data_programs import measured


class Noisy(Dataset):
    def __init__(self, *, own: bool) -> None:
        self.rng = np.random.default_rng(0) if own else None

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Tensor:
        noise = torch.from_numpy(self.rng.normal(size=4)).float() if self.rng is not None else torch.randn(4)
        return noise + index


class Stream(IterableDataset):
    def __init__(self, *, own: bool) -> None:
        self.rng = np.random.default_rng(0) if own else None

    def __iter__(self) -> Iterator[Tensor]:
        rng = self.rng or np.random.default_rng(torch.initial_seed())
        for _ in range(16):
            yield torch.from_numpy(rng.normal(size=4)).float()


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("kind", [Noisy, Stream])
def test_what_two_workers_read(kind: type[Noisy] | type[Stream], own: bool) -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        loader = DataLoader(kind(own=own), batch_size=8, num_workers=2, multiprocessing_context="fork")
        for x in loader:
            model(x).square().mean().backward()
            break

    told = measured(program, "data-workers")
    assert told["same"] is own
    assert told["again"] is own
    assert told["varies"]
