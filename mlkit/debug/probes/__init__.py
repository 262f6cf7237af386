"""Measurements on the live program, made in forked children: properties that must hold, and numbers for the rules.

A probe is a function of a `Scene` that returns plain values; it may change whatever it likes, since it has a copy.
Not here: the judgement of what was measured (`mlkit.debug.rules`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlkit.debug.scene import Scene

Measurement = dict[str, object]


@dataclass(frozen=True)
class Probe:
    """A measurement.

    Args:
        name: the rules find its result as ``facts.probe("train/NAME")`` (or ``train2``, ``eval``).
        measure: returns plain values; an empty dict where it does not apply.
        scenes: ``train`` (the first backward of each line), ``eval`` (the first evaluation after a step), ``later``
            (the first line of backward again, two steps on).
        seconds: deadline.
    """

    name: str
    measure: Callable[[Scene], Measurement]
    scenes: tuple[str, ...] = ("train",)
    seconds: float = 3.0


PROBES: list[Probe] = []


def probe(
    name: str, *, scenes: tuple[str, ...] = ("train",), seconds: float = 3.0
) -> Callable[[Callable[[Scene], Measurement]], Callable[[Scene], Measurement]]:
    """Register a measurement under a name."""

    def register(measure: Callable[[Scene], Measurement]) -> Callable[[Scene], Measurement]:
        PROBES.append(Probe(name, measure, scenes, seconds))
        return measure

    return register


def load() -> list[Probe]:
    """All probes, their modules imported."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return PROBES
