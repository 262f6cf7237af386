"""Tables, pictures and suggestions from results. Not here: any training, any measurement."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.report.curves import save_curves
    from mlkit.report.evidence import Evidence
    from mlkit.report.suggestions import Suggestion, next_steps, suggest
    from mlkit.report.table import MetricsTable, metrics_table

_WHERE = {
    "Evidence": "evidence",
    "MetricsTable": "table",
    "Suggestion": "suggestions",
    "metrics_table": "table",
    "next_steps": "suggestions",
    "save_curves": "curves",
    "suggest": "suggestions",
}

__all__ = ["Evidence", "MetricsTable", "Suggestion", "metrics_table", "next_steps", "save_curves", "suggest"]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.report.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
