"""Names and numbers for services that draw curves, from the lines of a run's history.

Not here: the lines themselves, which `mlkit.tracking.metrics_file` writes as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlkit.runtime.nested import dotted

PLACE = ("step", "epoch", "split", "final")
"""What says where a line belongs; everything else in it is a value."""


def points(entry: Mapping[str, Any]) -> dict[str, float]:
    """The values of one line of history by the names of their curves.

    The last evaluation of whole splits may be of other weights than those of the last step (the best), so it makes
    names of its own.

    >>> points({"step": 9, "epoch": 1, "split": "val", "loss": 0.5, "accuracy": 0.9})
    {'val/loss': 0.5, 'val/accuracy': 0.9}
    >>> points({"step": 9, "epoch": 1, "split": "test", "final": True, "loss": 0.5})
    {'final/test/loss': 0.5}
    """
    prefix = f"final/{entry['split']}" if entry.get("final") else str(entry["split"])
    return {f"{prefix}/{name}": float(value) for name, value in entry.items() if name not in PLACE and _number(value)}


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def flat(settings: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Nested settings as one level of dotted names with plain values.

    >>> flat({"optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}, "name": None})
    {'optimizer.lr': 0.1, 'optimizer.betas': '(0.9, 0.99)', 'name': 'None'}
    """
    plain = (bool, int, float, str)
    return {name: value if isinstance(value, plain) else str(value) for name, value in dotted(settings).items()}
