"""Modules of the user's own, named on the command line, which register models and data sets.

Not here: anything that a file names; no file decides what is imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from mlkit.errors import ConfigError, did_you_mean

_PLUGINS = re.compile(r"\+{0,2}plugins=\s*\[?([^\]]*)\]?\s*")


def named_plugins(overrides: Sequence[str]) -> list[str]:
    """The modules that the command line names.

    >>> named_plugins(["model=my_net", "plugins=[my_module, other]"])
    ['my_module', 'other']
    """
    for line in overrides:
        match = _PLUGINS.fullmatch(line)
        if match is not None:
            return [name.strip(" '\"") for name in match.group(1).split(",") if name.strip()]
    return []


def import_plugins(names: Sequence[str]) -> None:
    """Import each module; the working directory is looked into first.

    Raises:
        ConfigError: there is no such module, or it cannot be imported (with the traceback of its own code).
    """
    if not names:
        return
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)  # a console script, unlike python -m, does not look here
    for name in names:
        _import(name)


def _import(name: str) -> None:
    module = name.removesuffix(".py").replace("/", ".")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigError(
            "not the name of a module",
            received=f"plugins=[{name}]",
            allowed="a name as in Python's import",
            todo="plugins=[my_module]",
        )
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise _broken(name, error) from error
        near = [file.stem for file in Path.cwd().glob("*.py")]
        raise ConfigError(
            "there is no such module",
            received=f"plugins=[{name}]",
            allowed="a module in the working directory or an installed one",
            todo=did_you_mean(module, near) or "run from the folder that holds it, or install it",
        ) from None
    except ConfigError:
        raise
    except Exception as error:
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> ConfigError:
    """Their own frames are what helps: those of the import machinery and of mlkit are left out."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and not Path(frame.filename).is_relative_to(Path(__file__).parents[1])
    ]
    where = "".join(traceback.format_list(frames)).rstrip()
    return ConfigError(
        f"the module {name} cannot be imported",
        received=f"{type(error).__name__}: {error}" + (f"\n{where}" if where else ""),
        todo="correct it; python -c 'import " + name + "' shows the same",
    )
