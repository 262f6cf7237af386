"""Nested settings by dotted name, as people write them: ``optimizer.lr``.

Not here: which settings there are (`mlkit.config.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as one level of dotted names, values as they are; an empty mapping leaves nothing.

    >>> dotted({"optimizer": {"lr": 0.1}, "seed": 0})
    {'optimizer.lr': 0.1, 'seed': 0}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.update(dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return found
