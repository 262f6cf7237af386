"""`load`: from a name in the catalogue to a `DataBundle`, and where the files of the catalogue are looked for.

Not here: reading (one module a family of data sets) and splitting (`mlkit.data.pipeline`).
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlkit.errors import ConfigError, Problem, did_you_mean
from mlkit.registry import DATA, Factory

if TYPE_CHECKING:
    from mlkit.data.bundle import DataBundle

_COMMON = ("root", "seed", "limit", "classes", "image_size", "val_fraction", "test_fraction")
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def load(
    name: str,
    *,
    root: str | Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    classes: Sequence[int | str] | None = None,
    image_size: int | None = None,
    val_fraction: float | None = None,
    test_fraction: float | None = None,
    **options: object,
) -> DataBundle:
    """Read a data set, split it, simplify it if asked, and standardise it with the statistics of its training part.

    Args:
        name: a name of `catalogue`, or one that was registered with ``@mlkit.register(kind="data")``.
        root: folder of the data files; see `find_root`.
        seed: key of the split, and of what synthetic sets are made of.
        limit: number of training examples to keep, to simplify the problem; ``val`` shrinks in proportion, the test
            part is never touched.
        classes: names or indices of the classes to keep.
        image_size: height and width that images are resized to.
        val_fraction: share held out for ``val``; 0.1 unless the data set has its own way.
        test_fraction: share held out for ``test``, 0.2; not used where there is an official test part.
        options: further settings of this data set, such as ``path`` and ``target`` of ``"csv"``.

    Raises:
        ConfigError: an unknown name or option, with the closest one there is.
        DataError: files that are missing or damaged, content that does not fit.

    >>> print(load("digits", limit=500))
    digits: image 1 x 8 x 8, 10 classes; train 500, val 72, test 359
    """
    factory = DATA.get(name)
    common = {
        "root": root,
        "seed": seed,
        "limit": limit,
        "classes": classes,
        "image_size": image_size,
        "val_fraction": val_fraction,
        "test_fraction": test_fraction,
    }
    given = {key: value for key, value in common.items() if value is not None}
    parameters = inspect.signature(factory).parameters
    _check_options(name, parameters, options)
    made = factory(**{key: value for key, value in given.items() if key in parameters}, **options)
    return _as_bundle(name, made, given, parameters)


def find_root(root: str | Path | None = None) -> Path:
    """The folder of the data files: the argument, else the environment's MLKIT_DATA, else ``~/.cache/mlkit/data``.

    The environment is read when this is called. The folder need not exist.

    >>> find_root("some/folder").name
    'folder'
    """
    if root is not None and str(root):
        return Path(root).expanduser()
    return Path(os.environ.get("MLKIT_DATA") or "~/.cache/mlkit/data").expanduser()


def _as_bundle(
    name: str, made: object, given: Mapping[str, Any], parameters: Mapping[str, inspect.Parameter]
) -> DataBundle:
    from mlkit.data.bundle import DataBundle
    from mlkit.data.pipeline import finish
    from mlkit.data.source import Source

    if isinstance(made, Source):
        return finish(made, **{key: value for key, value in given.items() if key != "root"})
    if not isinstance(made, DataBundle):
        raise ConfigError(
            f"the data factory '{name}' returned something else than data",
            received=type(made).__name__,
            allowed="a mlkit.DataBundle or a mlkit.data.Source",
            todo="return mlkit.data.from_tensors(x, y), for example",
        )
    ignored = [key for key in given if key not in parameters and key not in ("root", "seed")]
    if ignored:
        raise ConfigError(
            [
                Problem(
                    f"data.{key} is not an option of '{name}'",
                    received=f"{key}={given[key]!r}",
                    allowed=", ".join(sorted(parameters)) or "no options",
                    todo=f"leave data.{key} out",
                )
                for key in ignored
            ]
        )
    return made


def _check_options(name: str, parameters: Mapping[str, inspect.Parameter], options: Mapping[str, object]) -> None:
    """Unknown options and missing ones, all together."""
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    known = [key for key, parameter in parameters.items() if parameter.kind in _NAMED]
    names = sorted({*known, *_COMMON})
    problems = [
        Problem(f"unknown option of the data set '{name}'", key, ", ".join(names), did_you_mean(key, names))
        for key in options
        if key not in known and not takes_any
    ]
    problems += [
        Problem(f"the data set '{name}' needs the option '{key}'", todo=f"set data.{key}=…")
        for key in known
        if parameters[key].default is inspect.Parameter.empty and key not in options and key not in _COMMON
    ]
    if problems:
        raise ConfigError(problems)


def options_of(factory: Factory) -> dict[str, object]:
    """The settings of a data factory beyond the common ones, with their defaults; required ones have ``...``."""
    parameters = inspect.signature(factory).parameters
    return {
        key: ... if parameter.default is inspect.Parameter.empty else parameter.default
        for key, parameter in parameters.items()
        if parameter.kind in _NAMED and key not in _COMMON
    }
