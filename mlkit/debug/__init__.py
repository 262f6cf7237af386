"""Debugging of training: observe any PyTorch program, find what is wrong, point at the line.

Not here: training itself (`mlkit.engine`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlkit.debug.findings import Finding as Finding
    from mlkit.debug.findings import Report as Report
    from mlkit.debug.watching import Watch as Watch

_PUBLIC = {"Finding": "findings", "Report": "findings", "Watch": "watching"}

__all__ = ["Finding", "Report", "Watch"]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
