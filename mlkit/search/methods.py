"""The ways to choose configurations behind one interface: random, Halton, grid, by hand, box narrowing, coarse to fine.

Not here: running them (`mlkit.search.driver`), nor Bayesian optimisation by Optuna (`mlkit.search.bayesian`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlkit.runtime.keys import derive_seed
from mlkit.search.dimensions import Value
from mlkit.search.edges import Edge, edges, widened
from mlkit.search.halton import halton
from mlkit.search.kernel import Kernel, children, elite_size, everything, new_ones
from mlkit.search.space import Params, Space
from mlkit.search.surrogate import Surrogate
from mlkit.search.trials import Trial, seen

Array = npt.NDArray[np.float64]


class Method(Protocol):
    """Chooses configurations, round by round."""

    def rounds(self, budget: int) -> list[int]:
        """How many trials each round has."""

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges seen before ``round``; those that are widened count from then on."""

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """At most ``count`` configurations that were not tried; ``ranked`` are all trials so far, best first."""


@dataclass(frozen=True)
class CoarseToFine:
    """Halton points over the whole space first; then children of the best, moved less and less, chosen by a model.

    Args:
        seed: of everything random.
        number: of rounds; by default one for every eight trials, 2 to 16.
        first: share of the trials that the first round has.
        kernel: how children differ from their parents.
        candidates: children for each one that is run; 1 runs them as they come, without the model.
        grow: whether ranges grow when the best trials sit at their edges.

    Each hyper-parameter has an age of its own: a range that has grown starts again with wide moves.
    """

    seed: int = 0
    number: int | None = None
    first: float = 0.25
    kernel: Kernel = field(default_factory=Kernel)
    candidates: int = 10
    grow: bool = True

    def rounds(self, budget: int) -> list[int]:
        """The first round, then the rest in equal parts."""
        number = min(max(2, budget // 8), 16) if self.number is None else self.number
        if number <= 1 or budget <= 4:
            return [budget]
        begin = min(max(4, round(budget * max(self.first, 1 / number))), budget - 1)
        return [begin, *_parts(budget - begin, number - 1)]

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges at which the best trials sit; ranges grow where they may and there are rounds left."""
        return edges(space, ranked, round_number=round_number - 1, grow=self.grow and not last)

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """Halton points in the first round, then children of the elite."""
        ages = np.full(len(space.names), max(round_number - 1, 0))
        return self.propose_aged(space, ranked, count, round_number=round_number, ages=ages)

    def propose_aged(
        self,
        space: Space,
        ranked: Sequence[Trial],
        count: int,
        *,
        round_number: int,
        ages: npt.NDArray[np.int64],
        pending: Sequence[Params] = (),
        stream: str = "",
    ) -> list[Params]:
        """The same where hyper-parameters were narrowed for differently many rounds, or trials are still running.

        Args:
            space: in effect.
            ranked: finished trials, best first.
            count: how many are wanted.
            round_number: 0 for the coarse one.
            ages: rounds of narrowing, for each hyper-parameter.
            pending: configurations that are running.
            stream: tells apart several calls for one round.
        """
        feasible = [trial for trial in ranked if trial.feasible]
        known = seen(ranked) | seen(Trial(0, 0, params) for params in pending)
        coarse = _halton_stream(space, self.seed, round_number, stream)
        if round_number == 0 or len(feasible) < 2:
            return _or_what_is_left(space, new_ones(space, coarse, count, known), count, known)
        rng = np.random.default_rng(derive_seed(self.seed, "children", round_number, stream))
        parents = np.clip(space.points([trial.params for trial in feasible[: elite_size(len(feasible))]]), 0.0, 1.0)
        young = children(space, parents, kernel=self.kernel, ages=ages, rng=rng, fresh=coarse)
        found = new_ones(space, young, count * self.candidates, known)
        if len(found) > count:
            model = Surrogate(space.points([trial.params for trial in ranked]), space.ordered)
            chosen = model.choose(space.points(found), count, pending=space.points(list(pending)))
            found = [found[index] for index in chosen]
        return _or_what_is_left(space, found, count, known)


@dataclass(frozen=True)
class Spread:
    """One round of points from all over the space: Halton's, which fill it evenly, or random ones."""

    seed: int = 0
    random: bool = False

    def rounds(self, budget: int) -> list[int]:
        """One."""
        return [budget]

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges are told, not widened."""
        return edges(space, ranked, round_number=round_number - 1, grow=False)

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """Points that were not tried."""
        known = seen(ranked)
        if self.random:
            rng = np.random.default_rng(derive_seed(self.seed, "random", round_number))
            points: Iterator[Array] = (rng.random(len(space.names)) for _ in itertools.count())
        else:
            points = _halton_stream(space, self.seed, round_number, "")
        return _or_what_is_left(space, new_ones(space, points, count, known), count, known)


@dataclass(frozen=True)
class Grid:
    """All combinations of a few evenly spaced values, from the ends of each range inwards.

    With more combinations than trials, as many as there are trials are taken, evenly spaced in the list.
    """

    def rounds(self, budget: int) -> list[int]:
        """One."""
        return [budget]

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges are told, not widened."""
        return edges(space, ranked, round_number=round_number - 1, grow=False)

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """The grid, as fine as ``count`` allows."""
        grids = _levels(space, count)
        total = int(np.prod([len(grid) for grid in grids]))
        picked = np.unique(np.linspace(0, total - 1, min(count, total)).astype(int))
        which = np.stack(np.unravel_index(picked, [len(grid) for grid in grids]), axis=1)
        points = iter([np.array([grid[i] for grid, i in zip(grids, row, strict=True)]) for row in which])
        return new_ones(space, points, count, seen(ranked))


@dataclass(frozen=True)
class Manual:
    """The configurations that the user lists, compared as fairly as any others."""

    configurations: tuple[Mapping[str, Value], ...]

    def rounds(self, budget: int) -> list[int]:
        """One, of all of them."""
        return [len(self.configurations)]

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """None: nothing was searched."""
        return []

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """The list."""
        return [{name: configuration[name] for name in space.names} for configuration in self.configurations][:count]


@dataclass(frozen=True)
class Box:
    """Random draws from a box that shrinks around the best: the simplest coarse to fine, kept to compare with.

    Args:
        seed: of everything random.
        number: of rounds.
    """

    seed: int = 0
    number: int = 4

    def rounds(self, budget: int) -> list[int]:
        """Equal parts."""
        return _parts(budget, min(self.number, budget))

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges are told, not widened."""
        return edges(space, ranked, round_number=round_number - 1, grow=False)

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """Draws from the box that the best quarter spans."""
        rng = np.random.default_rng(derive_seed(self.seed, "box", round_number))
        feasible = [trial for trial in ranked if trial.feasible]
        low, high = np.zeros(len(space.names)), np.ones(len(space.names))
        if round_number and feasible:
            best = np.clip(space.points([trial.params for trial in feasible[: max(4, len(feasible) // 4)]]), 0.0, 1.0)
            margin = 0.05
            low = np.where(space.ordered, np.clip(best.min(axis=0) - margin, 0, 1), 0.0)
            high = np.where(space.ordered, np.clip(best.max(axis=0) + margin, 0, 1), 1.0)
        draws = (low + (high - low) * rng.random(len(space.names)) for _ in itertools.count())
        known = seen(ranked)
        return _or_what_is_left(space, new_ones(space, draws, count, known), count, known)


def after_growth(
    space: Space, found: Sequence[Edge], ages: npt.NDArray[np.int64]
) -> tuple[Space, npt.NDArray[np.int64]]:
    """The space with its widened ranges, and the ages, which start again at 0 for those."""
    grown = widened(space, found)
    same = [grown.dimensions[name] == dimension for name, dimension in space.dimensions.items()]
    return grown, np.where(same, ages, 0)


def _halton_stream(space: Space, seed: int, round_number: int, stream: str) -> Iterator[Array]:
    """Points of one Halton sequence, a different one for every round; the first round's is the search's own."""
    own = derive_seed(seed, "halton", round_number, stream)
    first = 0
    while True:
        yield from halton(64, len(space.names), seed=own, first=first)
        first += 64


def _or_what_is_left(space: Space, found: list[Params], count: int, known: set[str]) -> list[Params]:
    """In small finite spaces chance finds the last configurations too rarely; then the rest is listed."""
    if len(found) == count:
        return found
    rest = everything(space, limit=100_000)
    if rest is None:
        return found
    taken = known | seen(Trial(0, 0, params) for params in found)
    found += [params for params in rest if not seen([Trial(0, 0, params)]) & taken]
    return found[:count]


def _levels(space: Space, count: int) -> list[list[float]]:
    """For each dimension the points of its grid: all values of lists, and of ranges as many as fit into ``count``."""
    sizes = [int(size) for size in space.sizes]
    lists = int(np.prod([size for size in sizes if size]))
    ranges = sum(1 for size in sizes if not size)
    per_range = max(2, int((count / lists) ** (1 / ranges) + 1e-9)) if ranges else 1
    return [
        [(i + 0.5) / size for i in range(size)] if size else np.linspace(0, 1, per_range).tolist() for size in sizes
    ]


def _parts(total: int, number: int) -> list[int]:
    number = min(number, total)
    return [total // number + (index < total % number) for index in range(number)]
