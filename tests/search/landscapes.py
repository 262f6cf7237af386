"""Random losses of hyper-parameters, as uneven, ridged and cliffed as real ones: for tests, and for choosing defaults.

None of them is a task of the benchmark. Not here: anything that is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mlkit.search.dimensions import Choice, Dimension, Integer, Log, Uniform, Value
from mlkit.search.space import Space

NAMES = ("lr", "decay", "width", "depth", "dropout", "batch", "activation", "schedule", "warmup", "init")


@dataclass(frozen=True)
class Landscape:
    """A space, its loss and how a loss compares with 4,000 random configurations."""

    space: Space
    loss: Callable[[Mapping[str, Value]], float]
    reference: np.ndarray

    def percentile(self, loss: float) -> float:
        return float(100 * np.mean(self.reference < loss))


def _dimension(name: str, rng: np.random.Generator, *, grid: bool) -> Dimension:
    count = int(rng.integers(4, 11))
    return {
        "lr": Choice(tuple(np.geomspace(1e-5, 1, 10).tolist())) if grid else Log(1e-5, 1.0, grow=False),
        "decay": Choice(tuple(np.geomspace(1e-8, 1, count).tolist())) if grid else Log(1e-8, 1.0, grow=False),
        "width": Choice(tuple(int(16 * 1.6**i) for i in range(count)))
        if grid
        else Integer(16, 1024, log=True, grow=False),
        "depth": Integer(1, 3, grow=False) if grid else Integer(1, 8, grow=False),
        "dropout": Choice((0.0, 0.3, 0.6)) if grid else Uniform(0.0, 0.8, grow=False),
        "batch": Choice(tuple(2**i for i in range(3, 3 + count))),
        "activation": Choice(("relu", "tanh", "gelu", "silu")[: rng.integers(2, 5)]),
        "schedule": Choice(("constant", "cosine", "step")[: rng.integers(2, 4)]),
        "warmup": Uniform(0.0, 0.5, grow=False) if not grid else Choice((0.0, 0.1, 0.2, 0.5)),
        "init": Choice(("he", "glorot", "lecun", "zero", "orthogonal")[: rng.integers(2, 6)]),
    }[name]


def landscape(seed: int, *, references: int = 4000) -> Landscape:
    """A random one: even seeds are grids of values, odd ones have ranges; of three kinds in turn."""
    rng = np.random.default_rng(10_000 + seed)
    grid = seed % 2 == 0
    count = int(rng.integers(3, len(NAMES) + 1))
    chosen = ["lr", *sorted(rng.choice(NAMES[1:], count - 1, replace=False).tolist())]
    space = Space({name: _dimension(name, rng, grid=grid) for name in chosen})
    function = (_separate, _ridged, _network)[seed % 3](space, rng)
    noise = float(rng.choice([0.0, 0.02, 0.1]))

    def value(params: Mapping[str, Value]) -> float:
        point = space.point(params)
        # Noise of the configuration, as that of one fixed seed: the same each time it is asked for.
        own = np.random.default_rng(abs(hash(point.tobytes())) % 2**32 if False else int(point.sum() * 1e9) % 2**32)
        return float(function(point) + noise * own.standard_normal())

    draws = rng.random((references, count))
    reference = np.array([value(space.params(point)) for point in draws])
    scale = float(np.std(reference)) or 1.0
    return Landscape(space, lambda params: value(params) / scale, reference / scale)


def _separate(space: Space, rng: np.random.Generator) -> Callable[[np.ndarray], float]:
    """Bowls of unequal weight and slope, and a cliff at high learning rates."""
    size = len(space.names)
    weight = rng.exponential(1.0, size) ** 2
    centre, power = rng.random(size), rng.choice([1.0, 1.5, 2.0], size)
    left, right = rng.uniform(0.3, 2.0, (2, size))
    table = rng.standard_normal((size, 10)) * 0.4
    unordered = ~space.ordered
    cliff = rng.uniform(0.6, 0.95)

    def function(u: np.ndarray) -> float:
        bowl = np.abs(u - centre) ** power * np.where(u < centre, left, right)
        level = table[np.arange(size), (u * 9.99).astype(int)]
        return float(np.sum(weight * np.where(unordered, level, bowl)) + 3.0 * (u[0] > cliff))

    return function


def _ridged(space: Space, rng: np.random.Generator) -> Callable[[np.ndarray], float]:
    """A curved valley: the best of one depends on the others, as learning rate on batch size and width."""
    size = len(space.names)
    mix = rng.standard_normal((size, size)) * rng.exponential(1.0, (size, 1))
    centre = rng.uniform(0.15, 0.85, size)
    bend = rng.standard_normal(size) * 0.5
    table = rng.standard_normal((size, 10)) * 0.3
    unordered = ~space.ordered

    def function(u: np.ndarray) -> float:
        level = table[np.arange(size), (u * 9.99).astype(int)]
        z = np.where(unordered, level, u - centre)
        z = z + bend * z[0] ** 2
        return float(np.log1p(np.sum((mix @ z) ** 2)))

    return function


def _network(space: Space, rng: np.random.Generator) -> Callable[[np.ndarray], float]:
    """A random network with one hidden layer: several valleys, every interaction."""
    size, hidden = len(space.names), 24
    gain = 2.5 * rng.exponential(1.0, size)
    w1, b1 = rng.standard_normal((hidden, size)) * gain, rng.standard_normal(hidden)
    w2 = rng.standard_normal(hidden)
    table = rng.standard_normal((size, 10)) * 0.4
    unordered = ~space.ordered

    def function(u: np.ndarray) -> float:
        level = table[np.arange(size), (u * 9.99).astype(int)]
        z = np.where(unordered, level, u - 0.5)
        return float(w2 @ np.tanh(w1 @ z + b1))

    return function
