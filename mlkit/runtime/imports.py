"""Optional packages: imported where they are used, with an install hint when they are missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mlkit.errors import MissingExtraError


def optional_import(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say which extra of mlkit brings it.

    Args:
        module: dotted name of the module.
        extra: the extra of ``mlkit-torch`` that installs it.
        purpose: what it is needed for, as it stands in the message ("tracking with MLflow").

    Raises:
        MissingExtraError: the package is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package '{module.split('.')[0]}', which is not installed",
            todo=f'pip install "mlkit-torch[{extra}]"',
        ) from None
