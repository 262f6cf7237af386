"""Settings: one typed list, composed by Hydra, checked as a whole, turned into a run. Only this room knows Hydra.

Not here: training. Names are resolved when first used, so that help is printed without importing torch or Hydra.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.config.job import RunResult, run
    from mlkit.config.paths import config_dir
    from mlkit.config.schema import Config

_WHERE = {
    "Config": "mlkit.config.schema",
    "RunResult": "mlkit.config.job",
    "config_dir": "mlkit.config.paths",
    "run": "mlkit.config.job",
}

__all__ = ["Config", "RunResult", "config_dir", "run"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'mlkit.config' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
