"""Children of the best trials: parents of the elite are mixed and moved a little, and less in every round.

Not here: how many a round has (`mlkit.search.coarse_to_fine`), nor the model that chooses among them
(`mlkit.search.surrogate`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlkit.search.space import Params, Space, key

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """How children differ from their parents.

    Args:
        jitter: standard deviation of the move in the first round, as a share of the range.
        flip: probability that a choice without order is drawn anew, in the first round.
        shrink: factor of both from one round to the next.
        mix: share of children whose values come from two parents, each from either by chance.
        explore: share of points that come from all over the space instead.
    """

    jitter: float = 0.25
    flip: float = 0.5
    shrink: float = 0.8
    mix: float = 1.0
    explore: float = 0.1


def elite_size(count: int) -> int:
    """How many of ``count`` trials may be parents: an eighth, at least four."""
    return min(max(4, count // 8), count)


def children(
    space: Space,
    parents: Array,
    *,
    kernel: Kernel,
    ages: npt.NDArray[np.int64],
    rng: np.random.Generator,
    fresh: Iterator[Array],
) -> Iterator[Array]:
    """Points without end: most near the parents, some from ``fresh``.

    Args:
        space: of the points.
        parents: points of the elite, best first, ``(k, dimensions)``; the best has k times the chance of the last.
        kernel: how children differ from them.
        ages: for each dimension, how many rounds it has been narrowed.
        rng: what chance is drawn from.
        fresh: points from all over the space.
    """
    count, size = parents.shape
    weight = np.arange(count, 0, -1.0)
    weight /= weight.sum()
    shrunk = kernel.shrink ** ages.astype(float)
    while True:
        if rng.random() < kernel.explore:
            yield next(fresh)
            continue
        child = parents[rng.choice(count, p=weight)].copy()
        if rng.random() < kernel.mix:
            other = parents[rng.choice(count, p=weight)]
            child = np.where(rng.random(size) < 0.5, child, other)
        moved = child + rng.standard_normal(size) * kernel.jitter * shrunk
        drawn = np.where(rng.random(size) < np.minimum(kernel.flip * shrunk, 0.9), rng.random(size), child)
        yield np.clip(np.where(space.ordered, moved, drawn), 0.0, 1.0)


def new_ones(space: Space, points: Iterator[Array], count: int, known: Collection[str]) -> list[Params]:
    """The first ``count`` configurations of ``points`` that are not ``known``; fewer where there are no more.

    Args:
        space: of the points.
        points: an endless supply.
        count: how many are wanted.
        known: keys of configurations that were tried.
    """
    found: list[Params] = []
    taken = set(known)
    for _, point in zip(range(50 * count + 200), points, strict=False):
        params = space.params(point)
        name = key(params)
        if name not in taken:
            taken.add(name)
            found.append(params)
            if len(found) == count:
                break
    return found


def everything(space: Space, *, limit: int) -> list[Params] | None:
    """All configurations of a space of lists and whole numbers; None where they are more than ``limit``.

    >>> from mlkit.search.dimensions import choice, integer
    >>> len(everything(Space({"a": choice("x", "y"), "b": integer(1, 3)}), limit=10))
    6
    """
    from itertools import product

    from mlkit.search.dimensions import Choice, Fixed, Integer

    lists: list[Sequence[object]] = []
    for dimension in space.dimensions.values():
        if isinstance(dimension, Choice):
            lists.append(dimension.values)
        elif isinstance(dimension, Fixed):
            lists.append((dimension.only,))
        elif isinstance(dimension, Integer):
            lists.append(range(dimension.low, dimension.high + 1, dimension.multiple))
        else:
            return None
    if math.prod(map(len, lists)) > limit:
        return None
    return [dict(zip(space.names, values, strict=True)) for values in product(*lists)]  # type: ignore[arg-type]
