"""From the names that a user gives to methods and scores.

Not here: what they do (`mlkit.search.methods`, `mlkit.search.scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from mlkit.errors import ConfigError, did_you_mean
from mlkit.metrics.objectives import Direction
from mlkit.metrics.objectives import direction as direction_of
from mlkit.search.bayesian import Bayesian
from mlkit.search.dimensions import Choice, Dimension, Fixed, Value
from mlkit.search.methods import Box, CoarseToFine, Grid, Manual, Method, Spread
from mlkit.search.scoring import Metric, Score
from mlkit.search.space import Space

MethodName: TypeAlias = Literal["coarse_to_fine", "random", "halton", "grid", "manual", "box", "bayesian", "gp"]


def make_method(
    method: MethodName | Method,
    space: Mapping[str, Dimension | Value] | Space | None,
    *,
    seed: int,
    number: int | None = None,
    configurations: Sequence[Mapping[str, Value]] | None = None,
) -> tuple[Method, Space]:
    """The method of a name, and the space that it searches.

    Args:
        method: a name, or a method.
        space: the user's.
        seed: of everything random.
        number: of rounds; None for the method's own.
        configurations: for ``"manual"``.

    Raises:
        ConfigError: the name is unknown, or what it needs is missing.
    """
    if (method == "manual") != (configurations is not None):
        raise ConfigError(
            "method='manual' and a list of configurations belong together",
            received=f"method={method!r}, configurations={configurations!r}",
            todo="give both or neither",
        )
    if method == "manual":
        listed = list(configurations or ())
        held = Space.make(space) if space is not None else _space_of(listed)
        held.points(listed)  # names and values fit, or it says what does not
        return Manual(tuple(listed)), held
    if space is None:
        raise ConfigError("there is no space to search", todo='search.run(objective, {"lr": search.log(1e-5, 1.0)})')
    whole = Space.make(space)
    if not whole.searched:
        raise ConfigError(
            "all hyper-parameters are fixed", received=str(whole), allowed="at least one that is searched"
        )
    if not isinstance(method, str):
        return method, whole
    made: dict[str, Method] = {
        "coarse_to_fine": CoarseToFine(seed, number),
        "random": Spread(seed, random=True),
        "halton": Spread(seed),
        "grid": Grid(),
        "box": Box(seed) if number is None else Box(seed, number),
        "bayesian": Bayesian(seed, "tpe", number),
        "gp": Bayesian(seed, "gp", number),
    }
    if method not in made:
        names = get_args(MethodName)
        raise ConfigError(
            "unknown method", received=repr(method), allowed=", ".join(names), todo=did_you_mean(method, names)
        )
    return made[method], whole


def scorer(score: str | Score | None, direction: Direction | None) -> Score | None:
    """What makes one number of several; None when the objective returns one."""
    if isinstance(score, str):
        return Metric(score, direction or direction_of(score.rsplit("/", 1)[-1]))
    return score


def _space_of(configurations: Sequence[Mapping[str, Value]]) -> Space:
    """A space that holds the listed configurations and what lies between them."""
    if not configurations:
        raise ConfigError("no configurations to compare", todo='configurations=[{"lr": 0.1}, {"lr": 0.01}]')
    dimensions: dict[str, Dimension] = {}
    for name in dict.fromkeys(name for configuration in configurations for name in configuration):
        if any(name not in configuration for configuration in configurations):
            raise ConfigError("a configuration lacks a value", received=name, allowed="the same names in all")
        values = list(dict.fromkeys(configuration[name] for configuration in configurations))
        numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
        values = sorted(values) if numbers else values  # type: ignore[type-var]  # numbers can be sorted
        dimensions[name] = Choice(tuple(values)) if len(values) > 1 else Fixed(values[0])
    return Space(dimensions)
