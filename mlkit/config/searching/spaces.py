"""Which settings are searched by default, and how a configuration of a search becomes settings of a run.

Ranges are wide on purpose: the first round is to see where training fails. Beside the names of settings a space may
have two that stand for ``model.hidden`` of an MLP: ``model.width`` and ``model.depth``. Not here: forms of ranges
(`mlkit.search.dimensions`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mlkit.config.check import examine
from mlkit.config.schema import Config
from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.runtime.nested import dotted
from mlkit.search.space import Params, Space

WIDTH, DEPTH = "model.width", "model.depth"
NEVER = ("trainer.max_epochs", "trainer.max_steps", "seed", "data.name", "model.name", "resume", "name", "experiment")
"""Settings that a search must hold still: what is compared would not be comparable, or would not be a search."""

_ALL = {
    "optimizer.lr": "log(1e-5, 1.0)",
    "optimizer.weight_decay": "log(1e-7, 1e-1)",
    "trainer.batch_size": "choice(16, 32, 64, 128)",
    "schedule.name": "choice(constant, cosine)",
}
_DROPOUT = {"model.dropout": "uniform(0, 0.6, grow=False)"}
_BY_MODEL = {
    "mlp": {
        WIDTH: "integer(16, 256, log=True)",
        DEPTH: "integer(1, 3)",
        **_DROPOUT,
        "model.normalization": "choice('none', batch)",
    },
    "lenet": {"model.width": "log(0.5, 4)", **_DROPOUT},
    "lstm": {"model.hidden": "integer(16, 256, log=True)", **_DROPOUT},
}


def space_of(config: Config, model: str, given: Mapping[str, str]) -> Space:
    """The space of a search: what was given, else what is worth searching for the model.

    Args:
        config: the settings of the run; those that are not searched stay as they are here.
        model: name of the model, ``auto`` resolved.
        given: form by setting; what stands here is all that is searched.

    Raises:
        ConfigError: names or values that no run takes, all of them.
    """
    space = Space.make(given or {**_ALL, **_BY_MODEL.get(model, {})})
    known = _known(config, model)
    problems = [
        Problem(
            f"{name} is held still in a search" if name in NEVER else f"{name} is not a setting of this run",
            received=f"search.space.{name}={space.to_dict()[name]}",
            allowed=", ".join(sorted(known)),
            todo=None if name in NEVER else did_you_mean(name, known),
        )
        for name in space.names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    ends = (_at(space, 0.0), _at(space, 1.0 - 1e-9))
    wrong = {problem for params in ends for problem in examine(_values(config, params))[1]}
    if wrong:
        raise ConfigError(sorted(wrong, key=str))
    return space


def config_of(config: Config, params: Params, *, seed: int | None = None) -> Config:
    """The settings of a run with those of ``params`` in place.

    Args:
        config: all other settings.
        params: of a search.
        seed: of the weights and of the order of examples; the data stay split as they are.

    >>> config_of(Config.from_dict({"model": "mlp"}), {"model.width": 32, "model.depth": 2}).model.hidden
    (32, 32)
    """
    found = Config.from_dict(_values(config, params))
    return found if seed is None else dataclasses.replace(found, seed=seed)


def overrides_of(config: Config, params: Params) -> list[str]:
    """What to write after ``python -m mlkit.train`` to train with ``params``."""
    from mlkit.config.settings import shown

    values = _settings(config, params)
    return [f"{name}={shown(value)}" for name, value in values.items()]


def _at(space: Space, unit: float) -> Params:
    return space.params([unit] * len(space.names))


def _values(config: Config, params: Params) -> dict[str, Any]:
    values = config.to_dict()
    for name, value in _settings(config, params).items():
        section, _, key = name.partition(".")
        values[section][key] = value
    return values


def _settings(config: Config, params: Params) -> dict[str, Any]:
    """``params`` with width and depth of an MLP in the form of its setting."""
    found: dict[str, Any] = dict(params)
    if _has_layers(config):
        hidden = config.model.hidden
        width, depth = found.pop(WIDTH, None), found.pop(DEPTH, None)
        if width is not None or depth is not None:
            each = int(width) if width is not None else (hidden[0] if hidden else 128)
            found["model.hidden"] = [each] * (int(depth) if depth is not None else max(len(hidden), 1))
    return found


def _has_layers(config: Config) -> bool:
    return isinstance(getattr(config.model, "hidden", None), (tuple, list))


def _known(config: Config, model: str) -> set[str]:
    del model
    names = {name for name in dotted(config.to_dict()) if "." in name and name not in NEVER}
    sections = ("optimizer.", "schedule.", "trainer.", "model.", "data.")
    found = {name for name in names if name.startswith(sections)}
    return found | ({WIDTH, DEPTH} if _has_layers(config) else set())
