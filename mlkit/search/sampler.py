"""Our coarse to fine as a sampler of Optuna's, for studies, dashboards and whatever else takes such samplers.

Not here: Optuna's samplers as methods of our search (`mlkit.search.bayesian`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlkit.errors import ConfigError
from mlkit.runtime.imports import optional_import
from mlkit.runtime.keys import derive_seed
from mlkit.search.bayesian import dimension_of_distribution
from mlkit.search.dimensions import Value
from mlkit.search.halton import halton
from mlkit.search.kernel import Kernel
from mlkit.search.methods import CoarseToFine
from mlkit.search.space import Params, Space, key
from mlkit.search.trials import Trial, by_merit, seen

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    Distributions = dict[str, BaseDistribution]


def CoarseToFineSampler(  # noqa: N802  # named as Optuna's samplers are
    *, seed: int = 0, budget: int = 64, kernel: Kernel | None = None
) -> BaseSampler:
    """A sampler for `optuna.create_study`: evenly spread trials first, then ever closer to the best.

    It keeps nothing to itself: what it asks for follows from the seed and the trials of the study. So a study goes on
    in another process as it would have in this one, and trials may be asked for in batches. Trials that failed count,
    too: it keeps away from where they lie. Where the ranges change on the way it goes on within the newest. The very
    first trial is drawn by chance, since Optuna does not tell the space before; so are hyper-parameters that not
    all trials have.

    Args:
        seed: of everything random; the same seed and scores give the same trials.
        budget: number of trials that the study is to have: a quarter of them are spread, and the moves of the others
            are narrowed over this many. A longer study goes on with the last, narrowest moves.
        kernel: how trials differ from the best ones before; see `Kernel`.

    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: the budget or the seed cannot be right.

    >>> import optuna
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> study = optuna.create_study(sampler=CoarseToFineSampler(budget=32))
    >>> study.optimize(lambda trial: (trial.suggest_float("x", -10, 10) - 2) ** 2, n_trials=32)
    >>> study.best_value < 0.01
    True
    """
    for name, value, least in (("budget", budget, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            allowed = f"a whole number, {least} or more"
            raise ConfigError(f"{name} cannot be right", received=repr(value), allowed=allowed)
    made: BaseSampler = _sampler_class()(Adviser(seed, budget, kernel or Kernel()))
    return made


@dataclass(frozen=True)
class Adviser:
    """What to try next in a study; see `CoarseToFineSampler` for the arguments."""

    seed: int = 0
    budget: int = 64
    kernel: Kernel = field(default_factory=Kernel)

    def distributions(self, study: Study, trial: FrozenTrial) -> Distributions:
        """Of the hyper-parameters that all finished trials have, the newest; before that, those of the first trial."""
        others = _others(study, trial)
        told = [other for other in others if other.state.name in ("COMPLETE", "PRUNED")]
        told = told or [other for other in others if other.distributions][:1]
        if not told:
            return {}
        newest = {name: found for other in others for name, found in other.distributions.items()}
        names = set.intersection(*(set(other.distributions) for other in told))
        return {name: newest[name] for name in sorted(names) if not newest[name].single()}

    def values(self, study: Study, trial: FrozenTrial, wanted: Distributions) -> Params:
        """Of these hyper-parameters; none where all configurations were tried."""
        space = Space({name: dimension_of_distribution(found) for name, found in wanted.items()})
        others = [other for other in _others(study, trial) if _fits(space, other)]
        finished = [_trial(space, other) for other in others if other.state.is_finished()]
        ranked = by_merit(finished, 1.0 if study.direction.name == "MINIMIZE" else -1.0)
        pending = [_params(space, other) for other in others if not other.state.is_finished()]
        number = self._round(trial.number)
        if number == 0:
            own = derive_seed(self.seed, "halton", 0, "")
            params = space.params(halton(1, len(space.names), seed=own, first=trial.number)[0])
            if key(params) not in seen(ranked) | {key(running) for running in pending}:
                return params
        chosen = CoarseToFine(self.seed, kernel=self.kernel).propose_aged(
            space,
            ranked,
            1,
            round_number=number,
            ages=self._ages(_others(study, trial), wanted, number),
            pending=pending,
            stream=str(trial.number),
        )
        return chosen[0] if chosen else {}

    def single(self, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Value:
        """By chance, for a hyper-parameter that is not known from other trials."""
        rng = np.random.default_rng(derive_seed(self.seed, "single", trial.number, name))
        return dimension_of_distribution(distribution).value(float(rng.random()))

    def _round(self, number: int) -> int:
        plan = CoarseToFine().rounds(self.budget)
        return min(bisect_right(list(accumulate(plan)), number), len(plan) - 1)

    def _ages(self, others: Sequence[FrozenTrial], wanted: Distributions, number: int) -> npt.NDArray[np.int64]:
        """Rounds since each range is what it is: one that was changed is searched with wide moves again."""
        ages = []
        for name, found in wanted.items():
            begin = 0
            for other in others:
                if other.distributions.get(name, found) != found:
                    begin = self._round(other.number + 1)
            ages.append(max(number - 1 - begin, 0))
        return np.array(ages, dtype=np.int64)


def _others(study: Study, trial: FrozenTrial) -> list[FrozenTrial]:
    return [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]


def _params(space: Space, trial: FrozenTrial) -> Params:
    return {name: trial.params[name] for name in space.names}


def _fits(space: Space, trial: FrozenTrial) -> bool:
    """Whether it has all the hyper-parameters, and values that the space knows."""
    if any(name not in trial.params for name in space.names):
        return False
    try:
        space.point(_params(space, trial))
    except (ConfigError, ValueError):  # a word that is no choice any more, or the logarithm of 0
        return False
    return True


def _trial(space: Space, trial: FrozenTrial) -> Trial:
    """What a finished trial means to us: one that was pruned counts as stopped, one that failed as infeasible."""
    found = Trial(trial.number, 0, _params(space, trial))
    if trial.state.name == "COMPLETE":
        found.scores[math.inf] = _only(trial.values)
    elif trial.state.name == "PRUNED" and trial.intermediate_values:
        last = max(trial.intermediate_values)
        found.scores[float(last)] = trial.intermediate_values[last]
    if not found.scores or not all(map(math.isfinite, found.scores.values())):
        found.reason = "no finite value"
    return found


def _only(values: Sequence[float] | None) -> float:
    return math.nan if values is None else values[0]


@cache
def _sampler_class() -> Any:
    samplers = optional_import("optuna.samplers", extra="search", purpose="a sampler for Optuna")

    class Sampler(samplers.BaseSampler):  # type: ignore[name-defined, misc]  # known only once Optuna is there
        """Asks an `Adviser`, which does not depend on Optuna's classes and so can be sent to other processes."""

        def __init__(self, adviser: Adviser) -> None:
            self._adviser = adviser

        def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Distributions:
            self._raise_error_if_multi_objective(study)
            return self._adviser.distributions(study, trial)

        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
        ) -> Params:
            return self._adviser.values(study, trial, dict(search_space)) if search_space else {}

        def sample_independent(
            self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
        ) -> Value:
            self._raise_error_if_multi_objective(study)
            return self._adviser.single(trial, param_name, param_distribution)

        def __reduce__(self) -> tuple[Any, tuple[()]]:
            a = self._adviser
            return partial(CoarseToFineSampler, seed=a.seed, budget=a.budget, kernel=a.kernel), ()

        def __str__(self) -> str:
            return f"CoarseToFineSampler(seed={self._adviser.seed}, budget={self._adviser.budget})"

    return Sampler
