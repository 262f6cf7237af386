"""`Space`: the hyper-parameters that are searched, with points of the unit cube in place of their values.

Not here: the single hyper-parameter (`mlkit.search.dimensions`), nor how points are chosen (`mlkit.search.kernel`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.search.dimensions import Choice, Dimension, Fixed, Value, has_range, is_ordered

Params: TypeAlias = dict[str, Value]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """Names and what each may be; `make` builds one of a dictionary.

    Args:
        dimensions: by name, in the order in which they are shown.

    >>> from mlkit.search.dimensions import choice, log
    >>> space = Space.make({"lr": log(1e-4, 1e-2), "activation": choice("relu", "tanh"), "momentum": 0.9})
    >>> space.params([0.5, 0.2, 0.0])
    {'lr': 0.001, 'activation': 'relu', 'momentum': 0.9}
    """

    dimensions: Mapping[str, Dimension]

    @classmethod
    def make(cls, space: Mapping[str, Dimension | Value] | Space) -> Space:
        """A space of a dictionary; text such as ``"log(1e-5, 1e-1)"`` is read, any other plain value is fixed.

        Raises:
            ConfigError: it is empty, a name is no text, or a text does not say what it should; all mistakes at once.
        """
        from mlkit.search.text import dimension_of  # text reads spaces of spaces' parts

        if isinstance(space, Space):
            return space
        if not isinstance(space, Mapping) or not space:
            raise ConfigError(
                "a space needs at least one hyper-parameter",
                received=repr(space),
                allowed="a dictionary from names to what each may be",
                todo='{"lr": search.log(1e-5, 1.0), "activation": search.choice("relu", "tanh")}',
            )
        found: dict[str, Dimension] = {}
        problems: list[Problem] = []
        for name, given in space.items():
            try:
                found[str(name)] = given if isinstance(given, get_args(Dimension)) else dimension_of(given)
            except ConfigError as error:
                problems += [Problem(f"{name}: {p.what}", p.received, p.allowed, p.todo) for p in error.problems]
        if problems:
            raise ConfigError(problems)
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all hyper-parameters."""
        return tuple(self.dimensions)

    @property
    def searched(self) -> tuple[str, ...]:
        """Of those that are not fixed."""
        return tuple(name for name, dimension in self.dimensions.items() if not isinstance(dimension, Fixed))

    @property
    def ordered(self) -> npt.NDArray[np.bool_]:
        """For each, whether its values have neighbours."""
        return np.array([is_ordered(dimension) for dimension in self.dimensions.values()], dtype=bool)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """For each, the number of values of a list, 1 of a fixed one, and 0 of a range."""
        sizes = [
            len(dimension.values) if isinstance(dimension, Choice) else int(isinstance(dimension, Fixed))
            for dimension in self.dimensions.values()
        ]
        return np.array(sizes, dtype=np.int64)

    def params(self, point: Sequence[float] | Array) -> Params:
        """The values at a point of the unit cube."""
        pairs = zip(self.dimensions.items(), point, strict=True)
        return {name: dimension.value(float(unit)) for (name, dimension), unit in pairs}

    def point(self, params: Mapping[str, Value]) -> Array:
        """The point of some values; beyond [0, 1] where they lie outside the ranges.

        Raises:
            ConfigError: names are missing or unknown, or a value does not fit.
        """
        self._check_names(params)
        return np.array([dimension.unit(params[name]) for name, dimension in self.dimensions.items()])

    def points(self, many: Sequence[Mapping[str, Value]]) -> Array:
        """The points of many, ``(count, dimensions)``."""
        if not many:
            return np.empty((0, len(self.dimensions)))
        return np.stack([self.point(params) for params in many])

    def changed(self, dimensions: Mapping[str, Dimension]) -> Space:
        """The same with some replaced."""
        return Space({**self.dimensions, **dimensions})

    def ranges(self) -> Iterator[tuple[int, str, Dimension]]:
        """Number, name and range of those that are ranges of numbers."""
        for index, (name, dimension) in enumerate(self.dimensions.items()):
            if has_range(dimension):
                yield index, name, dimension

    def to_dict(self) -> dict[str, str]:
        """Names and text forms, from which `make` builds the same space again."""
        return {name: str(dimension) for name, dimension in self.dimensions.items()}

    def __str__(self) -> str:
        width = max(map(len, self.dimensions))
        return "\n".join(f"{name:<{width}}  {dimension}" for name, dimension in self.dimensions.items())

    def _check_names(self, params: Mapping[str, Value]) -> None:
        problems = [
            Problem(f"hyper-parameter {name!r} has no value", ", ".join(params), ", ".join(self.names))
            for name in self.dimensions
            if name not in params
        ]
        for name in params:
            if name not in self.dimensions:
                hint = did_you_mean(name, self.names)
                problems.append(Problem("not a hyper-parameter of the space", repr(name), ", ".join(self.names), hint))
        if problems:
            raise ConfigError(problems)


def key(params: Mapping[str, Value]) -> str:
    """The same text for the same values, whatever their order."""
    return json.dumps(params, sort_keys=True)
