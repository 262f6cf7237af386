"""Checks of the numbers and choices that a model is built from, so that all mistakes are told at once.

Not here: whether a model fits the data (`mlkit.models.auto`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mlkit.errors import ConfigError, Problem, did_you_mean


def count(name: str, value: object, *, least: int = 1) -> Problem | None:
    """A whole number of at least ``least``; NumPy's count too."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least:
        return None
    return Problem(f"'{name}' is not a usable number", received=repr(value), allowed=f"a whole number from {least} up")


def counts(name: str, values: object) -> list[Problem | None]:
    """A list of whole numbers of at least 1; it may be empty."""
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [count(name, value) for value in values]
    return [Problem(f"'{name}' is not a list", received=repr(values), allowed="whole numbers from 1 up in a list")]


def sides(name: str, value: object) -> list[Problem | None]:
    """The size of an image: one whole number, or two as ``(height, width)``."""
    if isinstance(value, (int, np.integer)):
        return [count(name, value)]
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        return counts(name, value)
    return [Problem(f"'{name}' is not a size", received=repr(value), allowed="pixels a side, or (height, width)")]


def positive(name: str, value: object) -> Problem | None:
    """A finite number above 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf"):
        return None
    return Problem(f"'{name}' is not a usable factor", received=repr(value), allowed="a number above 0")


def probability(name: str, value: object) -> Problem | None:
    """A number from 0 up to, not including, 1: dropping everything leaves nothing to learn from."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1:
        return None
    return Problem(f"'{name}' is not a usable probability", received=repr(value), allowed="from 0 to below 1")


def choice(name: str, value: object, allowed: Collection[object]) -> Problem | None:
    """One of ``allowed``."""
    if value in tuple(allowed):  # by equality: what is not hashable is no choice either
        return None
    return Problem(
        f"'{name}' is not a known choice",
        received=repr(value),
        allowed=", ".join(map(repr, allowed)),
        todo=did_you_mean(str(value), [str(item) for item in allowed]),
    )


def refuse(*problems: Problem | None) -> None:
    """Raise one `ConfigError` with every problem found; do nothing when there is none.

    >>> refuse(count("hidden", 128), probability("dropout", 0.1))
    """
    found = [problem for problem in problems if problem is not None]
    if found:
        raise ConfigError(found)
