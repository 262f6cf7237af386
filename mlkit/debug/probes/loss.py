"""Everything that is measured of a loss, in one child: how each is measured stands in ``loss_*``, a file a property.

One child, since a fork costs more than the measurements. Not here: the judgement.
"""

from __future__ import annotations

import os

from mlkit.debug.probes import (
    Measurement,
    loss_direction,
    loss_join,
    loss_padding,
    loss_reach,
    loss_shift,
    loss_space,
    loss_weights,
    probe,
)
from mlkit.debug.scene import Scene

PARTS = {
    "space": loss_space.measure,
    "join": loss_join.measure,
    "reach": loss_reach.measure,
    "weights": loss_weights.measure,
    "direction": loss_direction.measure,
    "padding": loss_padding.measure,
    "shift": loss_shift.measure,
}


@probe("loss")
def measure(scene: Scene) -> Measurement:
    """What each part found; ``problems``: the parts that could not be measured, and why."""
    found: Measurement = {}
    problems: dict[str, str] = {}
    for name, part in PARTS.items():
        try:
            if values := part(scene):
                found[name] = values
        except Exception as error:  # one property that cannot be measured hides none of the others
            if os.environ.get("MLKIT_DEBUG_SELF"):
                raise
            problems[name] = f"{type(error).__name__}: {error}"
    if problems:
        found["problems"] = problems
    return found
