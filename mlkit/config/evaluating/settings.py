"""The settings of an evaluation: ``run=FOLDER``, ``human=0.02``, ``size=quick``.

Not here: the settings of the run, which stand in its folder (`mlkit.config.schema`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from mlkit.config.settings import RefusedError, convert, problem, setting, settings_of
from mlkit.errors import Problem


@dataclass
class EvaluateSettings:
    """What to evaluate, and how much to spend on it."""

    run: str | None = setting(None, "folder of a finished run; without it one is trained first", example="outputs/…")
    human: float | None = setting(None, "error of people on this task, or a goal", within=">= 0", example="0.02")
    size: Literal["none", "quick", "default", "paper"] = setting(
        "default", "models retrained on halves of the data: none, 4, 16 or 64"
    )
    loss: Literal["auto", "cross_entropy", "brier", "squared", "zero_one"] = setting(
        "auto", "what is decomposed; auto is the loss that the task calls for"
    )
    rows: int = setting(2000, "test rows that the retrained models are judged on, at most", within=">= 10")
    curve: bool = setting(False, "also a learning curve, which takes as long as 30 runs")
    folder: str | None = setting(None, "where the pages go; the run's own folder by default", example="evaluation")


def split_settings(overrides: Sequence[str]) -> tuple[EvaluateSettings, list[str], list[Problem]]:
    """The settings of the evaluation, the overrides of a run to train, and what is wrong with the former.

    >>> settings, rest, problems = split_settings(["human=0.02", "size=quick", "model=mlp"])
    >>> settings.size, settings.human, rest, problems
    ('quick', 0.02, ['model=mlp'], [])
    """
    known = settings_of(EvaluateSettings)
    values: dict[str, Any] = {}
    rest: list[str] = []
    problems: list[Problem] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if key not in known or not equals:
            rest.append(override)
            continue
        try:
            values[key] = convert(_read(text), known[key])
        except RefusedError as refused:
            problems.append(problem(key, _read(text), known[key], str(refused)))
    changed = [override for override in rest if not override.lstrip("+").startswith("plugins=")]
    if values.get("run") is not None and changed:
        what = "the settings of a run that is finished cannot be changed"
        problems.append(
            Problem(what, " ".join(changed), f"with run=: {', '.join(known)}", "leave run= out to train anew")
        )
    return EvaluateSettings(**values), rest, problems


def _read(text: str) -> object:
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return float(value) if isinstance(value, str) and _is_number(value) else value  # YAML takes 1e-3 for text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
