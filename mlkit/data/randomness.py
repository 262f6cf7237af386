"""Random generators lent to a user's loader: keyed while it reads, and afterwards as they were.

Not here: keys (`mlkit.runtime.keys`) and the whole state of a process (`mlkit.runtime.rng`).
"""

from __future__ import annotations

import random
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from mlkit.runtime.keys import derive_seed


class PrivateRandomness:
    """Random generators as a loader sees them: keyed on first entry, continued on later ones, put back on exit.

    Args:
        key: what the generators are seeded by.
        generators: those of torch beside the one of the CPU, which is always among them, as are NumPy's and Python's.

    >>> private, before = PrivateRandomness(7, []), torch.get_rng_state()
    >>> with private:
    ...     first = torch.rand(1)
    >>> bool((before == torch.get_rng_state()).all())
    True
    """

    def __init__(self, key: int, generators: list[torch.Generator]) -> None:
        self._key = key
        self._generators = [torch.default_generator, *generators]
        self._inside: tuple[Any, ...] | None = None
        self._outside: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._outside = self._capture()
        if self._inside is not None:
            self._restore(self._inside)
            return
        for number, generator in enumerate(self._generators):
            generator.manual_seed(derive_seed(self._key, number))
        random.seed(derive_seed(self._key, "random"))
        np.random.seed(derive_seed(self._key, "numpy") & 0xFFFFFFFF)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = self._capture()
        self._restore(self._outside)

    def _capture(self) -> tuple[Any, ...]:
        return [generator.get_state() for generator in self._generators], random.getstate(), np.random.get_state()

    def _restore(self, states: tuple[Any, ...]) -> None:
        for generator, state in zip(self._generators, states[0], strict=True):
            generator.set_state(state)
        random.setstate(states[1])
        np.random.set_state(states[2])


def generators_of(loader: DataLoader[Any]) -> list[torch.Generator]:
    """The generators that a loader and its samplers carry, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    owners = (loader, getattr(loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
