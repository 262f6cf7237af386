"""Bayesian optimisation by Optuna, as one more way to choose configurations.

Each round asks a fresh study that is told all trials so far, so a search goes on after a kill as any other does. Not
here: our own method as a sampler of Optuna's (`mlkit.search.sampler`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlkit.runtime.imports import optional_import
from mlkit.runtime.keys import derive_seed
from mlkit.search.dimensions import Choice, Dimension, Fixed, Integer, Log, Uniform, Value
from mlkit.search.edges import Edge, edges
from mlkit.search.space import Params, Space
from mlkit.search.trials import Trial

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Model = Literal["tpe", "gp"]


@dataclass(frozen=True)
class Bayesian:
    """Optuna's samplers, told the rank of every trial; infeasible ones rank last.

    Args:
        seed: of everything random.
        model: ``"tpe"``, tree-structured Parzen estimators, or ``"gp"``, a Gaussian process.
        number: of batches of trials that are chosen together; by default each trial is chosen after the one before.
    """

    seed: int = 0
    model: Model = "tpe"
    number: int | None = None

    def rounds(self, budget: int) -> list[int]:
        """Equal batches."""
        number = budget if self.number is None else min(self.number, budget)
        return [budget // number + (index < budget % number) for index in range(number)]

    def widen(self, space: Space, ranked: Sequence[Trial], *, round_number: int, last: bool) -> list[Edge]:
        """Edges are told, not widened: the samplers scatter after a range has grown."""
        return edges(space, ranked, round_number=round_number - 1, grow=False) if last else []

    def propose(self, space: Space, ranked: Sequence[Trial], count: int, *, round_number: int) -> list[Params]:
        """What the sampler asks for."""
        optuna = optional_import("optuna", extra="search", purpose="Bayesian optimisation")
        seed = derive_seed(self.seed, "bayesian", round_number) % 2**32
        with quiet(optuna):
            sampler = (
                optuna.samplers.GPSampler(seed=seed) if self.model == "gp" else optuna.samplers.TPESampler(seed=seed)
            )
            study = optuna.create_study(sampler=sampler)
            wanted = distributions(space)
            for rank, trial in enumerate(ranked):
                params = {name: encoded(space.dimensions[name], trial.params[name]) for name in wanted}
                study.add_trial(optuna.create_trial(params=params, distributions=wanted, value=float(rank)))
            asked = [study.ask(wanted).params for _ in range(count)]
        return [
            {
                name: decoded(dimension, params[name]) if name in params else dimension.value(0.5)
                for name, dimension in space.dimensions.items()
            }
            for params in asked
        ]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """What Optuna calls the hyper-parameters of a space; ordered lists are numbered."""
    return {name: distribution(dimension) for name, dimension in space.dimensions.items() if name in space.searched}


def distribution(dimension: Dimension) -> BaseDistribution:
    """What Optuna calls one hyper-parameter."""
    made = optional_import("optuna.distributions", extra="search", purpose="Bayesian optimisation")
    found: BaseDistribution
    if isinstance(dimension, (Log, Uniform)):
        found = made.FloatDistribution(dimension.low, dimension.high, log=isinstance(dimension, Log))
    elif isinstance(dimension, Integer):
        # Optuna has no step on a log scale; the values are rounded when they are decoded.
        step = 1 if dimension.log else dimension.multiple
        found = made.IntDistribution(dimension.low, dimension.high, log=dimension.log, step=step)
    elif isinstance(dimension, Choice) and dimension.is_ordered:
        found = made.IntDistribution(0, len(dimension.values) - 1)
    else:
        found = made.CategoricalDistribution(dimension.values if isinstance(dimension, Choice) else (dimension.only,))
    return found


def encoded(dimension: Dimension, value: Value) -> Value:
    """A value as the distribution knows it."""
    if isinstance(dimension, Choice) and dimension.is_ordered:
        return int(dimension.unit(value) * len(dimension.values))  # `index` takes 1, 1.0 and True for the same
    return value


def decoded(dimension: Dimension, value: Value) -> Value:
    """A value as the space knows it."""
    if isinstance(dimension, Choice) and dimension.is_ordered:
        return dimension.values[int(value)]  # type: ignore[arg-type]  # an index, as `encoded` made it
    if isinstance(dimension, Integer) and dimension.multiple != 1:
        return dimension.value(dimension.unit(value))
    return value


def dimension_of_distribution(distribution: BaseDistribution) -> Dimension:
    """The dimension that a distribution of Optuna's stands for; its range does not grow."""
    made = optional_import("optuna.distributions", extra="search", purpose="Optuna's studies")
    d: Any = distribution
    if isinstance(d, made.CategoricalDistribution):
        return Choice(tuple(d.choices), ordered=False)
    if d.single():
        return Fixed(d.low)
    if isinstance(d, made.IntDistribution):
        if d.low % d.step == 0:
            return Integer(d.low, d.high - (d.high - d.low) % d.step, log=d.log, multiple=d.step, grow=False)
        return Choice(tuple(range(d.low, d.high + 1, d.step)), ordered=True)
    if d.step is not None:
        count = round((d.high - d.low) / d.step) + 1
        return Choice(tuple(d.low + index * d.step for index in range(count)), ordered=True)
    return Log(d.low, d.high, grow=False) if d.log else Uniform(d.low, d.high, grow=False)


class quiet:  # noqa: N801  # used as a statement
    """Optuna says nothing while this lasts, and afterwards as much as before."""

    def __init__(self, optuna: Any) -> None:
        self._logging = optuna.logging

    def __enter__(self) -> None:
        self._before = self._logging.get_verbosity()
        self._logging.set_verbosity(self._logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self._logging.set_verbosity(self._before)
