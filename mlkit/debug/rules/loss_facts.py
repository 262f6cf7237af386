"""Typed access to what the probes of the loss measured, for the rules of the `loss` family.

Not here: any judgement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.sites import Site


def measured(facts: Facts, part: str) -> Iterator[Mapping[str, Any]]:
    """What a part of the probe of the loss found in each scene of training."""
    for name, values in facts.probes.items():
        scene, _, kind = name.partition("/")
        found = values.get(part)
        if kind == "loss" and scene.rstrip("0123456789") == "train" and isinstance(found, Mapping):
            yield found


def entries(facts: Facts, part: str, kind: str) -> Iterator[Mapping[str, Any]]:
    """The entries of one list that a part of the probe made, those at one line once."""
    seen: set[object] = set()
    for values in measured(facts, part):
        for entry in values.get(kind, ()):
            key = entry.get("site")
            if key not in seen:
                seen.add(key)
                yield entry


def place(entry: Mapping[str, Any], name: str = "site") -> Site | None:
    """The line of an entry."""
    site = entry.get(name)
    return site if isinstance(site, Site) else None


def number(value: object) -> float:
    """A number for evidence, in four digits."""
    return float(f"{value:.4g}") if isinstance(value, (int, float)) else 0.0
