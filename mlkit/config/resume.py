"""What a resumed run takes from its folder and what may be changed then.

Not here: the state of the training, which stands in the checkpoint (`mlkit.engine.checkpoint`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlkit.config.check import examine
from mlkit.config.run_folder import read_config
from mlkit.config.schema import Config
from mlkit.config.settings import shown
from mlkit.errors import Problem

# What says how long, where and with what records to go on, and nothing of what was computed so far.
CHANGEABLE = (
    *(f"trainer.{name}" for name in ("max_epochs", "max_steps", "max_time", "early_stopping", "target", "device")),
    "trainer.checkpoint_every",
    "trainer.preflight",
    "trainer.restore_best",
    "data.root",
    "tracking",
    "plugins",
)


def resumed_config(folder: Path | str, changes: Mapping[str, Any]) -> tuple[Config, list[Problem]]:
    """The settings of the run in ``folder`` with some of them changed; and everything that is wrong.

    Args:
        folder: a run folder.
        changes: dotted name of a setting to its new value.

    Raises:
        ConfigError: it is not the folder of a run.
    """
    stored = read_config(folder)
    problems = [
        Problem(
            f"{name} cannot be changed when a run is resumed",
            received=f"{name}={shown(value)}",
            allowed=", ".join(CHANGEABLE),
            todo="start a new run with it",
        )
        for name, value in changes.items()
        if not _may_change(name) and _at(stored, name) != value
    ]
    plugins = stored.get("plugins") or []
    stored = {**stored, "plugins": [], "resume": str(folder)}  # no file decides what is imported
    for name, value in changes.items():
        if _may_change(name):
            _put(stored, name.split("."), value)
    config, found = examine(stored)
    if found and plugins and not stored["plugins"]:
        named = ",".join(map(str, plugins))
        todo = f"name them again: resume={folder} plugins=[{named}]"
        found = [
            Problem("the run was started with plugins, which a file cannot bring in", f"plugins=[{named}]", todo=todo)
        ]
    return config, problems + found


def _may_change(name: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in CHANGEABLE)


def _at(values: Any, name: str) -> Any:
    for key in name.split("."):
        if not isinstance(values, Mapping) or key not in values:
            return None
        values = values[key]
    return values


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        values[key] = dict(values.get(key) or {})
        values = values[key]
    values[path[-1]] = value
