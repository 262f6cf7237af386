"""The settings of a search that stand beside those of a run: ``search.budget=64``, ``search.space.optimizer.lr=…``.

Not here: the settings of the run (`mlkit.config.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from mlkit.config.settings import RefusedError, convert, problem, setting, settings_of
from mlkit.errors import Problem, did_you_mean

PREFIX = "search."
SPACE = "search.space."


@dataclass
class SearchSettings:
    """How to search."""

    method: Literal["coarse_to_fine", "random", "halton", "grid", "box", "bayesian", "gp"] = setting(
        "coarse_to_fine", "how configurations are chosen"
    )
    budget: int = setting(64, "configurations to try", within=">= 1")
    time: float | str | None = setting(None, "stop beginning new rounds after, such as 90s, 10m or 1h", example="10m")
    metric: str = setting("val/loss", "what decides", example="val/accuracy")
    rounds: int | None = setting(None, "rounds; fewer and larger ones train more at once", within=">= 1", example="3")
    halving: bool = setting(True, "stop the worse half at a ninth, two ninths, … of trainer.max_epochs")
    finalists: int = setting(5, "of the best, how many are trained again with other seeds; 1 for none", within=">= 1")
    seeds: int = setting(3, "how many other seeds", within=">= 2")
    backend: Literal["auto", "loop", "processes", "stacked", "vmap"] = setting("auto", "how many are trained at once")
    space: dict[str, str] = field(
        default_factory=dict,
        metadata={"help": "settings to search instead of the model's own", "example": "'log(1e-5,1e-1)'"},
    )


def split_overrides(overrides: Sequence[str]) -> tuple[SearchSettings, list[str], list[Problem]]:
    """The settings of the search, the overrides of the run, and what is wrong with the former.

    >>> words = ["model=mlp", "search.budget=8", "search.space.optimizer.lr=log(1e-4,1)"]
    >>> settings, rest, problems = split_overrides(words)
    >>> settings.budget, settings.space, rest, problems
    (8, {'optimizer.lr': 'log(1e-4,1)'}, ['model=mlp'], [])
    """
    values: dict[str, Any] = {}
    space: dict[str, str] = {}
    rest: list[str] = []
    problems: list[Problem] = []
    known = settings_of(SearchSettings)
    for override in overrides:
        key, equals, text = override.lstrip("+").partition("=")
        if not key.startswith(PREFIX):
            rest.append(override)
        elif not equals:
            problems.append(Problem("a setting without a value", override, "NAME=VALUE", f"for example {key}=…"))
        elif key.startswith(SPACE):
            space[key.removeprefix(SPACE)] = text.strip("'\"")
        else:
            name = key.removeprefix(PREFIX)
            if name not in known or name == "space":
                problems.append(_unknown(override, name))
                continue
            try:
                values[name] = convert(_read(text), known[name])
            except RefusedError as refused:
                problems.append(problem(key, _read(text), known[name], str(refused)))
    return SearchSettings(**values, space=space), rest, problems


def _read(text: str) -> object:
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):  # YAML takes 1e-3 for text
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _unknown(override: str, name: str) -> Problem:
    names = [*settings_of(SearchSettings)]
    if name == "space":
        return Problem(
            "the space is given one setting at a time",
            override,
            "search.space.NAME=FORM",
            "for example 'search.space.optimizer.lr=log(1e-5,1e-1)'",
        )
    hint = did_you_mean(name, names)
    return Problem(f"unknown setting search.{name}", override, ", ".join(f"search.{each}" for each in names), hint)
