"""What one hyper-parameter may be: on a log scale, uniform, an integer, one of a few values, or fixed.

Each maps its values to [0, 1] and back, and knows how far its range may grow. Not here: spaces of several
(`mlkit.search.space`), nor their text form (`mlkit.search.text`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from mlkit.errors import ConfigError, Problem

Value: TypeAlias = bool | int | float | str | None
"""What a hyper-parameter can be: a plain value that JSON keeps."""


@dataclass(frozen=True)
class Log:
    """A positive number searched on a log scale, such as a learning rate.

    Args:
        low: lower end of the first range; above 0.
        high: upper end.
        grow: whether the range may grow when the best trials sit at its edge.
        limits: how far at most; by default any positive number.

    >>> Log(1e-5, 1e-1).value(0.5)
    0.001
    """

    low: float
    high: float
    grow: bool = True
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _raise([*_range_problems("log", self.low, self.high, above=0.0), *_limit_problems(self)])

    def unit(self, value: Value) -> float:
        """Where ``value`` lies between ``low`` (0) and ``high`` (1); beyond them outside [0, 1]."""
        low, high = math.log(self.low), math.log(self.high)
        return (math.log(_number(value)) - low) / (high - low)

    def value(self, unit: float) -> float:
        """The value at ``unit``, to four digits, so that what is printed is what was tried."""
        low, high = math.log(self.low), math.log(self.high)
        return _digits(math.exp(low + min(max(unit, 0.0), 1.0) * (high - low)), self.low, self.high)

    def grown(self, below: float, above: float) -> Log:
        """Longer by these shares of its present length, within the limits."""
        if not self.grow:
            return self
        least, most = self.limits or (0.0, math.inf)
        ratio = self.high / self.low
        return replace(self, low=max(self.low * ratio**-below, least), high=min(self.high * ratio**above, most))

    def __str__(self) -> str:
        return f"log({_text(self.low)}, {_text(self.high)}{_extras(self)})"


@dataclass(frozen=True)
class Uniform:
    """A number searched on a linear scale, such as a dropout rate.

    Args:
        low: lower end of the first range.
        high: upper end.
        grow: whether the range may grow when the best trials sit at its edge.
        limits: how far at most. By default a range without negative numbers does not grow below 0, nor one that ends at
            or below 1 beyond 1, since rates and shares do not.

    >>> Uniform(0.0, 0.6).value(0.25)
    0.15
    """

    low: float
    high: float
    grow: bool = True
    limits: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _raise([*_range_problems("uniform", self.low, self.high), *_limit_problems(self)])

    def unit(self, value: Value) -> float:
        """Where ``value`` lies between ``low`` (0) and ``high`` (1); beyond them outside [0, 1]."""
        return (_number(value) - self.low) / (self.high - self.low)

    def value(self, unit: float) -> float:
        """The value at ``unit``, to four digits of the range's length."""
        length = self.high - self.low
        places = 3 - math.floor(math.log10(length))
        return min(max(round(self.low + min(max(unit, 0.0), 1.0) * length, places), self.low), self.high)

    def grown(self, below: float, above: float) -> Uniform:
        """Longer by these shares of its present length, within the limits."""
        if not self.grow:
            return self
        natural = (0.0 if self.low >= 0 else -math.inf, 1.0 if self.low >= 0 and self.high <= 1 else math.inf)
        least, most = self.limits or natural
        length = self.high - self.low
        return replace(self, low=max(self.low - below * length, least), high=min(self.high + above * length, most))

    def __str__(self) -> str:
        return f"uniform({_text(self.low)}, {_text(self.high)}{_extras(self)})"


@dataclass(frozen=True)
class Integer:
    """A whole number, such as a width or a number of layers.

    Args:
        low: smallest of the first range.
        high: largest, itself included.
        log: search on a log scale; ``low`` must be at least 1.
        multiple: only multiples of this number, so that few shapes of models occur. The ends must be multiples.
        grow: whether the range may grow when the best trials sit at its edge.
        limits: how far at most; by default a range of positive numbers stays positive, one from 0 on does not grow
            below 0.

    >>> [Integer(16, 256, log=True, multiple=16).value(u) for u in (0.0, 0.6, 1.0)]
    [16, 64, 256]
    """

    low: int
    high: int
    log: bool = False
    multiple: int = 1
    grow: bool = True
    limits: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        problems = [*_range_problems("integer", self.low, self.high), *_limit_problems(self)]
        for name in ("low", "high", "multiple"):
            if not _is_integer(getattr(self, name)):
                problems.append(Problem(f"integer(): {name} is not a whole number", repr(getattr(self, name))))
        if not problems and self.log and self.low < 1:
            problems.append(Problem("integer(…, log=True) below 1", str(self.low), "1 or more", "leave log=True out"))
        if not problems and (self.multiple < 1 or self.low % self.multiple or self.high % self.multiple):
            received = f"low={self.low}, high={self.high}, multiple={self.multiple}"
            problems.append(Problem("integer(): an end is no multiple", received, "ends that are multiples of it"))
        _raise(problems)

    def _ends(self) -> tuple[float, float]:
        # Half a step beyond each end, so that the ends are drawn as often as the others.
        low, high = self.low - self.multiple / 2, self.high + self.multiple / 2
        return (math.log(low), math.log(high)) if self.log else (low, high)

    def unit(self, value: Value) -> float:
        """Where ``value`` lies between half a step below ``low`` (0) and half a step above ``high`` (1)."""
        low, high = self._ends()
        number = _number(value)
        return ((math.log(number) if self.log else number) - low) / (high - low)

    def value(self, unit: float) -> int:
        """The nearest allowed number at ``unit``."""
        low, high = self._ends()
        number = low + unit * (high - low)
        steps = round((math.exp(number) if self.log else number) / self.multiple)
        return min(max(steps * self.multiple, self.low), self.high)

    def grown(self, below: float, above: float) -> Integer:
        """Longer by these shares of its present length, within the limits."""
        if not self.grow:
            return self
        floor = self.multiple if self.low > 0 else 0 if self.low == 0 else -math.inf
        least, most = self.limits or (floor, math.inf)
        step = self.multiple
        if self.log:
            ratio = self.high / self.low
            low, high = self.low * ratio**-below, self.high * ratio**above
        else:
            length = self.high - self.low
            low, high = self.low - math.ceil(below * length), self.high + math.ceil(above * length)
        # At least a step, since 0.5 of depth 1 to 2 would be none.
        low, high = min(low, self.low - step), max(high, self.high + step)
        grown_low = self.low if below <= 0 else math.ceil(max(low, least) / step) * step
        grown_high = self.high if above <= 0 else math.floor(min(high, most) / step) * step
        return replace(self, low=min(grown_low, self.low), high=max(grown_high, self.high))

    def __str__(self) -> str:
        more = (", log=True" if self.log else "") + (f", multiple={self.multiple}" if self.multiple != 1 else "")
        return f"integer({self.low}, {self.high}{more}{_extras(self)})"


@dataclass(frozen=True)
class Choice:
    """One of a few values, such as an activation.

    Args:
        values: at least one, all different.
        ordered: whether neighbours in the list are alike; by default they are when all are numbers that rise or fall,
            as batch sizes do.

    >>> Choice((16, 32, 64)).is_ordered, Choice(("relu", "tanh")).is_ordered
    (True, False)
    """

    values: tuple[Value, ...]
    ordered: bool | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ConfigError("choice() without values", allowed="one value or more", todo="choice('relu', 'tanh')")
        _raise(list(_value_problems("choice", self.values)))
        if len({(type(value), value) for value in self.values}) < len(self.values):
            raise ConfigError("choice() with a value twice", received=self.values, allowed="values that differ")

    @property
    def is_ordered(self) -> bool:
        """Whether neighbours in the list are alike."""
        if self.ordered is not None:
            return self.ordered
        numbers = [value for value in self.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        rising = numbers == sorted(numbers) or numbers == sorted(numbers, reverse=True)
        return len(self.values) > 2 and len(numbers) == len(self.values) and rising

    def unit(self, value: Value) -> float:
        """The middle of the value's share of [0, 1]."""
        return (_index(self.values, value) + 0.5) / len(self.values)

    def value(self, unit: float) -> Value:
        """The value in whose share ``unit`` falls."""
        return self.values[min(max(int(unit * len(self.values)), 0), len(self.values) - 1)]

    def grown(self, below: float, above: float) -> Choice:
        """Itself: a list does not grow."""
        return self

    def __str__(self) -> str:
        automatic = replace(self, ordered=None).is_ordered
        more = "" if self.ordered in (None, automatic) else f", ordered={self.ordered}"
        return f"choice({', '.join(_text(value) for value in self.values)}{more})"


@dataclass(frozen=True)
class Fixed:
    """A value that is not searched.

    >>> Fixed(0.9).value(0.3)
    0.9
    """

    only: Value

    def __post_init__(self) -> None:
        _raise(list(_value_problems("fixed", (self.only,))))

    def unit(self, value: Value) -> float:
        """The middle, whatever the value."""
        return 0.5

    def value(self, unit: float) -> Value:
        """The value."""
        return self.only

    def grown(self, below: float, above: float) -> Fixed:
        """Itself."""
        return self

    def __str__(self) -> str:
        return f"fixed({_text(self.only)})"


Dimension: TypeAlias = Log | Uniform | Integer | Choice | Fixed


def log(low: float, high: float, *, grow: bool = True, limits: tuple[float, float] | None = None) -> Log:
    """A positive number searched on a log scale; see `Log`."""
    return Log(low, high, grow, limits)


def uniform(low: float, high: float, *, grow: bool = True, limits: tuple[float, float] | None = None) -> Uniform:
    """A number searched on a linear scale; see `Uniform`."""
    return Uniform(low, high, grow, limits)


def integer(
    low: int,
    high: int,
    *,
    log: bool = False,
    multiple: int = 1,
    grow: bool = True,
    limits: tuple[int, int] | None = None,
) -> Integer:
    """A whole number; see `Integer`."""
    return Integer(low, high, log, multiple, grow, limits)


def choice(*values: Value, ordered: bool | None = None) -> Choice:
    """One of a few values; see `Choice`."""
    return Choice(values, ordered)


def fixed(value: Value) -> Fixed:
    """A value that is not searched."""
    return Fixed(value)


def has_range(dimension: Dimension) -> bool:
    """Whether it is a range of numbers, which can grow and has edges."""
    return isinstance(dimension, (Log, Uniform, Integer))


def is_ordered(dimension: Dimension) -> bool:
    """Whether its values have neighbours."""
    return has_range(dimension) or (isinstance(dimension, Choice) and dimension.is_ordered)


def _range_problems(name: str, low: object, high: object, *, above: float = -math.inf) -> Iterator[Problem]:
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, (int, float)) or not math.isfinite(end):
            yield Problem(f"{name}(): an end of the range is not a number", repr(end), "two finite numbers, low < high")
            return
    if low >= high:  # type: ignore[operator]  # both are numbers here
        todo = "swap them" if low > high else "to keep one value, write fixed(…)"  # type: ignore[operator]
        yield Problem(f"{name}(): the range is empty", f"low={low}, high={high}", "low < high", todo)
    elif low <= above:  # type: ignore[operator]
        todo = "start at a small positive number, such as 1e-6, or write uniform(…)"
        yield Problem(f"{name}(): there is no logarithm at or below 0", f"low={low}", "0 < low < high", todo)


def _limit_problems(dimension: Log | Uniform | Integer) -> Iterator[Problem]:
    limits = dimension.limits
    if limits is not None and not (limits[0] <= dimension.low and dimension.high <= limits[1]):
        received = f"limits={limits}, range {dimension.low} to {dimension.high}"
        yield Problem("the range is not within its limits", received, "limits[0] <= low and high <= limits[1]")
    elif limits is not None and isinstance(dimension, Log) and limits[0] <= 0:
        yield Problem("log(): there is no logarithm at or below 0", f"limits={limits}", "a positive lower limit")


def _value_problems(name: str, values: tuple[object, ...]) -> Iterator[Problem]:
    for value in values:
        plain = isinstance(value, (bool, int, float, str, type(None)))
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            what, todo = f"{name}() of a value that a log cannot keep", "look a name up in the objective"
            yield Problem(what, repr(value), "finite numbers, text, True, False, None", todo)


def _raise(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(problems)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Value) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise ConfigError("not a number", received=repr(value), allowed="a number, as the range is one of numbers")


def _index(values: tuple[Value, ...], value: Value) -> int:
    for index, known in enumerate(values):
        if known == value and type(known) is type(value):
            return index
    if value in values:
        return values.index(value)
    raise ConfigError("not one of the choices", received=repr(value), allowed=", ".join(map(repr, values)))


def _digits(number: float, low: float, high: float) -> float:
    return min(max(float(f"{number:.4g}"), low), high)


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else repr(value)


def _extras(dimension: Log | Uniform | Integer) -> str:
    limits = "" if dimension.limits is None else f", limits=({', '.join(map(_text, dimension.limits))})"
    return ("" if dimension.grow else ", grow=False") + limits
