"""Running of all probes that fit a scene, each in a forked child, within a budget of processor time.

Not here: the probes, and when a scene is looked at (`mlkit.debug.session`).
"""

from __future__ import annotations

import torch

from mlkit.debug import experiment
from mlkit.debug.facts import Facts
from mlkit.debug.probes import PROBES, Measurement, Probe
from mlkit.debug.scene import Scene

LEAST = 0.2
"""Seconds below which what is left of a budget is not worth a fork."""


class ProbeRunner:
    """Runs probes and keeps what they measured in ``facts.probes``.

    Args:
        facts: of the program.
        budget: seconds of processor time for all probes together.
        is_on: whether children are forked at all.
    """

    def __init__(self, facts: Facts, *, budget: float, is_on: bool) -> None:
        self._facts, self._budget, self.is_on = facts, budget, is_on
        self._spent = 0.0

    def run(self, name: str, scene: Scene) -> bool:
        """Run the probes of a scene; returns whether any could be run."""
        if not self.is_on:
            return False
        obstacle = experiment.obstacle()
        if obstacle:
            self._facts.skipped.append((f"probes at {name}", obstacle))
            return False
        for probe in PROBES:
            if name.rstrip("0123456789") not in probe.scenes:
                continue
            left = self._budget - self._spent
            if left <= LEAST:
                why = f"the budget of {self._budget:.0f} s is spent"
                self._facts.skipped.append((f"{name}/{probe.name}", why))
                continue
            self._one(f"{name}/{probe.name}", probe, scene, min(left, probe.seconds))
        return True

    def _one(self, name: str, probe: Probe, scene: Scene, seconds: float) -> None:
        outcome = experiment.measure(lambda: _measured(probe, scene), seconds=seconds)
        self._spent += outcome.seconds
        if outcome.problem is not None:
            self._facts.skipped.append((name, outcome.problem))
        elif isinstance(outcome.value, dict) and outcome.value:
            self._facts.probes[name] = outcome.value


def _measured(probe: Probe, scene: Scene) -> Measurement:
    with torch.enable_grad():
        return probe.measure(scene)
