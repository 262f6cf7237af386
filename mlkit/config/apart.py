"""Settings of a command that stand beside those of a run, on one command line: ``run=FOLDER size=quick model=mlp``.

Not here: the settings of a run (`mlkit.config.compose`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import yaml

from mlkit.config.settings import RefusedError, convert, problem, settings_of
from mlkit.errors import Problem

T = TypeVar("T")


def apart(overrides: Sequence[str], kind: type[T]) -> tuple[T, list[str], list[Problem]]:
    """The settings of a command, the overrides that are left for the run, and what is wrong with the former.

    Args:
        overrides: words of the command line.
        kind: a dataclass of settings; their names must not be those of settings of a run.
    """
    as_type: type = kind  # mypy knows a type as hashable, a type of a variable not
    known = settings_of(as_type)
    values: dict[str, Any] = {}
    rest: list[str] = []
    problems: list[Problem] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if key not in known or not equals:
            rest.append(override)
            continue
        try:
            values[key] = convert(read_value(text), known[key])
        except RefusedError as refused:
            problems.append(problem(key, read_value(text), known[key], str(refused)))
    return kind(**values), rest, problems


def read_value(text: str) -> object:
    """A value as YAML reads it, and ``1e-3`` as a number, which YAML takes for text.

    >>> read_value("1e-3"), read_value("true"), read_value("adam")
    (0.001, True, 'adam')
    """
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value
