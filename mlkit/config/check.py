"""The strict check: nested values against the schema, every mistake at once, before any data is read.

Not here: where the values come from (`mlkit.config.compose`) and rules that involve several settings
(`mlkit.config.rules`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mlkit.config.choices import known_names, settings_class
from mlkit.config.rules import rule_problems
from mlkit.config.schema import SECTIONS, TOP_LEVEL, Config
from mlkit.config.settings import RefusedError, Setting, convert, problem, settings_of, shown
from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.registry import Kind

_ABSENT = object()


def checked_config(values: Mapping[str, Any]) -> Config:
    """The configuration that ``values`` describe.

    Raises:
        ConfigError: with every mistake.

    >>> checked_config({"optimizer": {"lr": -1}})
    Traceback (most recent call last):
    mlkit.errors.ConfigError: optimizer.lr cannot have this value
      received: -1
      allowed:  a number > 0
      to do:    for example optimizer.lr=0.0003
    """
    config, problems = examine(values)
    if problems:
        raise ConfigError(problems)
    return config


def examine(values: Mapping[str, Any]) -> tuple[Config, list[Problem]]:
    """A configuration, with defaults in place of what is wrong, and everything that is wrong."""
    problems: list[Problem] = []
    parts: dict[str, Any] = {}
    for kind in ("model", "data"):
        parts[kind] = _chosen(kind, values.get(kind, {}), problems)
    for name, section in SECTIONS.items():
        parts[name] = _section(name, section, values.get(name, {}), problems)
    known = settings_of(Config)
    for name in TOP_LEVEL:
        parts[name] = _value(name, known[name], values.get(name, _ABSENT), problems)
    problems += [unknown_key(str(key), values[key]) for key in values if key not in known]
    config = Config(**parts)
    return config, problems + rule_problems(config)


def _chosen(kind: Kind, values: object, problems: list[Problem]) -> Any:
    """The settings of the model or data set that ``values`` name."""
    if isinstance(values, str):
        values = {"name": values}
    default = getattr(Config(), kind)
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        values = dataclasses.asdict(values)
    if not isinstance(values, Mapping):
        problems.append(
            Problem(f"{kind} has to be a name", received=shown(values), todo=f"for example {kind}={default.name}")
        )
        return default
    name = values.get("name", default.name)
    if name not in known_names(kind):
        problems.append(unknown_choice(kind, str(name), known_names(kind)))
        return default
    section = settings_class(kind, name)
    return _section(kind, section, {**values, "name": name}, problems)


def _section(name: str, section: type, values: object, problems: list[Problem]) -> Any:
    if dataclasses.is_dataclass(values) and not isinstance(values, type):
        values = dataclasses.asdict(values)
    if not isinstance(values, Mapping):
        if values is not None:
            problems.append(
                Problem(f"{name} has to hold settings", received=shown(values), todo=_example(name, section))
            )
        values = {}
    known = settings_of(section)
    parts = {
        key: _value(f"{name}.{key}", setting, values.get(key, _ABSENT), problems) for key, setting in known.items()
    }
    problems += [unknown_key(f"{name}.{key}", values[key], values.get("name")) for key in values if key not in known]
    return section(**parts)


def _value(path: str, setting: Setting, value: object, problems: list[Problem]) -> Any:
    """``value`` converted; the default, and a problem, when it cannot be."""
    given = value is not _ABSENT
    try:
        return convert(value if given else setting.default, setting)
    except RefusedError as refused:
        if setting.default is None and (not given or value is None):
            todo = f"for example {path}={setting.example}" if setting.example else f"add {path}=…"
            problems.append(Problem(f"{path} has to be given", allowed=setting.allowed, todo=todo))
        else:
            problems.append(problem(path, value, setting, str(refused)))
        return setting.default


def _example(name: str, section: type) -> str:
    first = next(iter(settings_of(section).values()))
    return f"for example {name}.{first.name}={first.shown_default}"


def unknown_choice(group: str, received: str, allowed: tuple[str, ...]) -> Problem:
    """A name that is not among the choices of a group."""
    hint = did_you_mean(received, allowed)
    if hint is None:
        other = {"model": "data", "data": "model"}.get(group)
        if other is not None and received in known_names(other):  # type: ignore[arg-type]
            hint = f"did you mean {other}={received}?"
        elif other is not None:
            hint = (
                f"choose one of these, or name the module that registers yours: plugins=[my_module] {group}={received}"
            )
    return Problem(
        f"unknown {group}", received=received, allowed=", ".join(allowed), todo=hint or "choose one of these"
    )


def unknown_key(path: str, value: object, chosen: str | None = None) -> Problem:
    """A setting that does not exist, with the closest one that does."""
    section, _, key = path.rpartition(".")
    own = _keys_of(section, chosen)
    what = f"unknown setting {path}"
    if section in ("model", "data"):
        what += f" of {section}={chosen}"
    return Problem(
        what,
        received=f"{path}={shown(value)}",
        allowed=", ".join(own) if own else None,
        todo=_closest(section, key, own) or "python -m mlkit.train --help lists all settings",
    )


def _keys_of(section: str, chosen: str | None) -> list[str]:
    if section in ("model", "data"):
        if chosen is None or chosen not in known_names(section):  # type: ignore[arg-type]
            return []
        return [key for key in settings_of(settings_class(section, chosen)) if key != "name"]  # type: ignore[arg-type]
    if section in SECTIONS:
        return list(settings_of(SECTIONS[section]))
    return list(settings_of(Config)) if not section else []


def _closest(section: str, key: str, own: list[str]) -> str | None:
    """The key meant: one of the same name elsewhere, else a similar one here, else a similar one elsewhere."""
    prefix = f"{section}." if section else ""
    elsewhere = _paths_by_key()
    if key in elsewhere and elsewhere[key] != f"{prefix}{key}":
        return f"did you mean '{elsewhere[key]}'?"
    if did_you_mean(key, own):
        return (did_you_mean(key, own) or "").replace("did you mean '", f"did you mean '{prefix}")
    other = choices_with(section, key)
    if other:
        return f"it is a setting of {section}={', '.join(other[:4])}{', …' if len(other) > 4 else ''}"
    near = did_you_mean(key, elsewhere)
    return f"did you mean '{elsewhere[near.split(chr(39))[1]]}'?" if near else None


def choices_with(kind: str, key: str) -> list[str]:
    """Names of the models or data sets that have a setting ``key``."""
    if kind not in ("model", "data"):
        return []
    return [name for name in known_names(kind, only_builtin=True) if key in settings_of(settings_class(kind, name))]  # type: ignore[arg-type]


def closest_setting(key: str) -> str | None:
    """The setting meant by a word that is no option, such as the ``lr`` of ``--lr``.

    >>> closest_setting("lr")
    "did you mean 'optimizer.lr=…'?"
    """
    close = _closest("", key, list(settings_of(Config)))
    if key in settings_of(Config):
        return f"did you mean '{key}=…'?"
    return close.replace("'?", "=…'?") if close is not None and close.startswith("did you") else close


def _paths_by_key() -> dict[str, str]:
    """Last part of each setting to its full path, for settings that stand outside of model and data."""
    paths = {key: key for key in TOP_LEVEL}
    for name, section in SECTIONS.items():
        paths.update({key: f"{name}.{key}" for key in settings_of(section) if key != "name"})
    usual = {
        "learning_rate": "optimizer.lr",
        "epochs": "trainer.max_epochs",
        "steps": "trainer.max_steps",
        "wd": "optimizer.weight_decay",
    }
    return {**paths, **usual}
