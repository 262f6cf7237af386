"""Tiny training programs for the tests of the data probes, watched with some probes alone.

Not here: claims.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn
from torch.utils.data import DataLoader

from mlkit.debug import probes
from mlkit.debug.watching import Watch


@contextlib.contextmanager
def only(*names: str) -> Iterator[None]:
    """Run these probes and no others."""
    every = probes.load()
    kept = list(every)
    every[:] = [one for one in kept if one.name in names]
    try:
        yield
    finally:
        every[:] = kept


def measured(program: Callable[[], None], name: str, scene: str = "train") -> Mapping[str, object]:
    """What a probe measured of a program."""
    with only(name), Watch() as watch:
        program()
    return watch._session.facts.probe(f"{scene}/{name}")


def train(train_loader: DataLoader, val_loader: DataLoader | None = None) -> None:
    """Two epochs of a small classifier, with an evaluation after each."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in val_loader or ():
                (model(x).argmax(1) == y).float().mean()


def clusters(count: int, *, classes: int = 4, features: int = 16, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian clusters, one for each class."""
    centres = 2 * torch.randn(classes, features, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(classes, (count,), generator=generator)
    return centres[y] + torch.randn(count, features, generator=generator), y
