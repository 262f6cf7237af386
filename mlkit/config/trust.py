"""What Hydra may execute: its own launchers and sweepers, never something that a file names.

Not here: the settings of mlkit itself, none of which is ever imported or executed (`mlkit.config.check`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mlkit.errors import Problem

# Launchers and sweepers of Hydra and its plugins, and the samplers that they take. Anything wider would let a YAML file
# call what it likes: `hydra.utils.get_method` alone imports any module.
_TARGETS = re.compile(
    r"hydra\._internal\.core_plugins\.\w+\.Basic(Launcher|Sweeper)"
    r"|hydra_plugins\.[\w.]+\.\w*(Launcher|Sweeper)"
    r"|hydra_plugins\.[\w.]+\.config\.\w+"
    r"|optuna\.samplers\.\w+"
)
# Logging is configured with `logging.config.dictConfig`, which imports and calls as well.
_LOGGERS = re.compile(r"logging\.(handlers\.)?\w*(Handler|Formatter|Filter)|colorlog\.ColoredFormatter")
_STREAMS = re.compile(r"ext://sys\.(stdout|stderr)")


def hydra_problems(hydra: DictConfig, *, callbacks_allowed: bool) -> list[Problem]:
    """What in Hydra's own settings would be imported or executed and is not Hydra's.

    Args:
        hydra: the ``hydra`` node.
        callbacks_allowed: the command line itself names callbacks.
    """
    values = OmegaConf.to_container(hydra, resolve=False)
    return [
        _refused(path, text)
        for path, key, text in _texts(values, "hydra")
        if not _fine(path, key, text, callbacks_allowed)
    ]


def _fine(path: str, key: str, text: str, callbacks_allowed: bool) -> bool:
    if text.startswith(("ext://", "cfg://")):
        return _STREAMS.fullmatch(text) is not None
    if callbacks_allowed and path.startswith("hydra.callbacks."):
        return True
    if key == "_target_":
        return _TARGETS.fullmatch(text) is not None
    if key in ("()", "class") and "logging" in path:
        return _LOGGERS.fullmatch(text) is not None
    return True


def _texts(value: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Every text in nested values, with its path and the last key of it."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                yield f"{path}.{key}", str(key), item
            else:
                yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if isinstance(item, str):
                yield f"{path}[{number}]", "", item
            else:
                yield from _texts(item, f"{path}[{number}]")


def _refused(path: str, text: str) -> Problem:
    return Problem(
        f"{path} names something to import or call, and nothing from a file is executed",
        received=text,
        allowed="Hydra's own launchers, sweepers and logging",
        todo="take it out of the file; code of yours comes in by plugins=[my_module] on the command line",
    )
