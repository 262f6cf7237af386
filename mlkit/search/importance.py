"""How much each hyper-parameter matters: how differently the good trials of the coarse round are spread over it.

Only the coarse round counts, since its trials come from all over the space; later ones crowd around the best, and would
make whatever was narrowed first look important. Not here: where good values lie (`mlkit.search.regions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlkit.search.space import Space
from mlkit.search.trials import Trial

Array = npt.NDArray[np.float64]

GOOD = 1 / 3  # of the trials count as good; a tenth of a coarse round would be two
FEWEST = 9  # trials, so that three are good
_POINTS = 40  # at which densities are compared
_RESAMPLES = 200

# What practitioners expect before any search, by words in the name.
EXPECTED = {
    "high": ("lr", "learning_rate", "schedule", "loss", "width", "hidden", "units", "channels"),
    "medium": ("init", "depth", "layers", "decay", "dropout", "regular", "l1", "l2", "smoothing", "alpha"),
    "low": ("optim", "batch", "activation", "nonlin", "momentum", "beta"),
}


@dataclass(frozen=True)
class Importance:
    """How much one hyper-parameter matters.

    Args:
        name: of the hyper-parameter.
        share: of the importance of all, 0 to 1.
        low: lower end of the 95 % interval, from resampled trials.
        high: upper end.
        resolved: whether it is more than 95 % of shuffled scores give; otherwise it may be chance.
        expected: "high", "medium" or "low", as practitioners expect by the name; None for other names.
    """

    name: str
    share: float
    low: float
    high: float
    resolved: bool
    expected: str | None

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return dict(vars(self))


def importances(space: Space, ranked: Sequence[Trial], *, seed: int = 0) -> tuple[Importance, ...]:
    """Most important first; nothing with fewer than nine trials.

    Args:
        space: of the coarse round.
        ranked: trials of the coarse round, best first, infeasible ones last.
        seed: of the resampling.

    Source: Pearson divergence between the densities of good trials and of all, PED-ANOVA, Watanabe et al., IJCAI 2023.
    """
    columns = [index for index, name in enumerate(space.names) if name in space.searched]
    if len(ranked) < FEWEST or not columns:
        return ()
    points = np.clip(space.points([trial.params for trial in ranked])[:, columns], 0.0, 1.0)
    shares = [_cells(space, column) for column in columns]
    found = _divergences(points, shares)
    rng = np.random.default_rng(seed)
    resampled = np.stack([_divergences(points[np.sort(draw)], shares) for draw in _draws(len(points), rng)])
    shuffled = np.stack([_divergences(rng.permutation(points), shares) for _ in range(_RESAMPLES)])
    total = resampled.sum(axis=1, keepdims=True)
    low, high = np.quantile(resampled / np.where(total, total, 1), [0.025, 0.975], axis=0)
    resolved = found > np.quantile(shuffled, 0.95, axis=0)
    all_of_them = found.sum() or 1.0
    result = [
        Importance(
            space.names[column],
            float(found[i] / all_of_them),
            float(low[i]),
            float(high[i]),
            bool(resolved[i]),
            expected(space.names[column]),
        )
        for i, column in enumerate(columns)
    ]
    return tuple(sorted(result, key=lambda item: (-item.share, item.name)))


def expected(name: str) -> str | None:
    """What practitioners expect of a hyper-parameter of this name.

    >>> expected("optimizer.lr"), expected("batch_size"), expected("colour")
    ('high', 'low', None)
    """
    last = name.lower().rsplit(".", 1)[-1]
    words = last.split("_")
    for level, stems in EXPECTED.items():
        if any(stem == last or stem in words for stem in stems):
            return level
    for level, stems in EXPECTED.items():
        if any(len(stem) > 3 and stem in last for stem in stems):
            return level
    return None


def _draws(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    return rng.integers(count, size=(_RESAMPLES, count))


def _cells(space: Space, column: int) -> int:
    """Number of values of a list without order; 0 where neighbours are alike."""
    return 0 if space.ordered[column] else int(space.sizes[column])


def _divergences(points: Array, cells: Sequence[int]) -> Array:
    """Pearson's divergence of the good from all, for each column; the points come best first."""
    good = max(3, round(GOOD * len(points)))
    values = []
    for column, count in zip(points.T, cells, strict=True):
        density = _frequencies(column, count) if count else _smooth(column)
        everyone, best = density.mean(axis=0), density[:good].mean(axis=0)
        values.append(float((everyone * (best / everyone - 1) ** 2).sum() / everyone.sum()))
    found = np.array(values)
    return np.where(found > 1e-12, found, 0.0)  # below that it is rounding, of which shares would be made


def _frequencies(column: Array, count: int) -> Array:
    """Each trial's share in each value, with a tenth spread over all so that no value is impossible."""
    index = np.minimum((column * count).astype(int), count - 1)
    return np.asarray(0.9 * np.eye(count)[index] + 0.1 / count, dtype=np.float64)


def _smooth(column: Array) -> Array:
    """Each trial as a bump over [0, 1]; the width is Scott's for as many points as are good."""
    width = max(float(column.std()), 0.05) * max(3.0, GOOD * len(column)) ** -0.2
    grid = (np.arange(_POINTS) + 0.5) / _POINTS
    bumps: Array = np.exp(-0.5 * ((grid[None, :] - column[:, None]) / width) ** 2)
    bumps /= bumps.sum(axis=1, keepdims=True)
    return 0.95 * bumps + 0.05 / _POINTS
