"""Typed access to what the data probes measured, for the rules of the `data` family.

Not here: any judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.sites import Site


def part(values: Mapping[str, object], name: str) -> Mapping[str, Any]:
    """A nested measurement, or an empty one."""
    value = values.get(name)
    return value if isinstance(value, Mapping) else {}


def place(*values: object) -> Site | None:
    """The first that is a line."""
    return next((one for one in values if isinstance(one, Site)), None)


def evaluation(facts: Facts, probe: str) -> Mapping[str, Any]:
    """What a probe measured at the first evaluation on other data than training's, else at the first evaluation."""
    return facts.probe(f"validation/{probe}") or facts.probe(f"eval/{probe}")


def rounded(value: object, digits: int = 4) -> float:
    """A number for evidence."""
    return float(f"{value:.{digits}g}") if isinstance(value, (int, float)) else 0.0
