"""Reading an example twice: what varies, what is mutated, whose randomness repeats."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from tests.debug.probes.data_programs import clusters, measured, train


class Items(Dataset):
    """Clusters with a way of reading."""

    def __init__(self, kind: str) -> None:
        self.x, self.y = clusters(80)
        self.kind, self.rng = kind, np.random.default_rng(0)
        self.transform = torch.randn_like if kind == "lost" else None

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = self.x[index]
        if self.kind == "mutates":
            x += 0.1
        elif self.kind == "varies":
            x = x + torch.randn(16)
        elif self.kind == "own generator":
            x = x + torch.from_numpy(self.rng.normal(size=16)).float()
        elif self.kind == "seeds":
            torch.manual_seed(0)
            x = x + torch.randn(16)
        elif self.transform is not None:
            x = x + self.transform(x)
        return x, self.y[index]


def _read(kind: str) -> dict[str, object]:
    return dict(measured(lambda: train(DataLoader(Items(kind), 16, shuffle=True)), "data-reading"))


def test_a_view_that_is_changed_in_place_is_found_with_its_line() -> None:
    mutated = _read("mutates")["mutated"]
    assert isinstance(mutated, dict)
    assert mutated["site"].source == "x += 0.1"
    assert _read("varies")["mutated"] == {}


def test_randomness_of_the_data_set_s_own_generator() -> None:
    found = _read("own generator")
    assert found["own"] == ["rng"]
    assert "self.rng.normal" in found["own_site"].source  # type: ignore[attr-defined]
    assert "own" not in _read("varies")


def test_reading_that_seeds_the_global_generator() -> None:
    assert _read("seeds")["seeds_anew"] == ["torch"]
    assert "seeds_anew" not in _read("varies")


def test_a_transform_that_was_taken_away() -> None:
    def program() -> None:
        full = Items("lost")
        first, second = Subset(full, list(range(60))), Subset(full, list(range(60, 80)))
        second.dataset.transform = None  # type: ignore[attr-defined]
        train(DataLoader(first, 16, shuffle=True), DataLoader(second, 20))

    lost = measured(program, "data-reading")["lost"]
    assert isinstance(lost, dict)
    assert lost["after"] == "None"


def test_validation_items_that_vary() -> None:
    def program() -> None:
        train(DataLoader(Items("varies"), 16, shuffle=True), DataLoader(Items("varies"), 20))

    varies = measured(program, "data-reading-eval", "eval")["varies"]
    assert isinstance(varies, dict)
    assert varies["inputs"] == varies["read"]
    assert varies["labels"] == 0
