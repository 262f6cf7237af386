"""A small real run that trackers look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from mlkit.data.adapt import from_tensors
from mlkit.data.bundle import DataBundle
from mlkit.engine.fit import FitResult, fit
from mlkit.engine.hooks import Hook

Runner = Callable[..., FitResult]


def small_bundle() -> DataBundle:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=stream)
    y = (x[:, 0] > 0).long()
    return from_tensors(x[:160], y[:160], test=(x[160:], y[160:]))


@pytest.fixture(scope="session")
def bundle() -> DataBundle:
    """144 training examples, 16 for val, 40 for test: 5 steps an epoch in batches of 32."""
    return small_bundle()


@pytest.fixture
def run(bundle: DataBundle) -> Runner:
    """Trains a fresh small model with the hooks; ``folder`` and ``resume`` as in `fit`."""

    def run(
        hooks: Sequence[Hook] = (),
        *,
        epochs: int = 3,
        steps: int | None = None,
        folder: Path | None = None,
        resume: bool = False,
    ) -> FitResult:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        return fit(
            model,
            bundle,
            max_epochs=epochs,
            max_steps=steps,
            hooks=hooks,
            folder=folder,
            resume=resume,
            device="cpu",
        )

    return run
