"""One's own questions to a program: what if the learning rate were a tenth? what if it saw one batch again and again?

Not here: the trials that the doctor runs by itself (`mlkit.debug.confirm`).
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlkit.debug.trials import Change
from mlkit.errors import ConfigError

if TYPE_CHECKING:
    from mlkit.debug.session import Session

STEPS, SECONDS = 200, 20.0
ALLOWED = "lr*FACTOR, weight_decay=VALUE, momentum=VALUE, clip=NORM, clear, train-mode, same-batch, nothing"
_PLAIN = ("clear", "train-mode", "same-batch", "nothing")


@dataclass(frozen=True)
class Curve:
    """The losses of a program that went on with one change from its first step.

    Args:
        name: the change.
        losses: of its backward passes, in order.
        problem: why it ended early, or None.
    """

    name: str
    losses: tuple[float, ...]
    problem: str | None = None

    @property
    def verdict(self) -> str:
        """From the first loss to the median of the last tenth, in words."""
        if not self.losses:
            return self.problem or "no loss was seen"
        part = max(1, len(self.losses) // 10)
        last = statistics.median(self.losses[-part:])
        share = last / self.losses[0] if self.losses[0] > 0 else math.nan
        shown = f"{self.losses[0]:.4g} → {last:.4g} in {len(self.losses)} steps"
        return f"{shown} ({share:.1%} of the first)" if math.isfinite(share) else shown

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {"change": self.name, "losses": list(self.losses), "verdict": self.verdict, "problem": self.problem}


def parse(text: str) -> Change:
    """A change from its text.

    >>> parse("lr*0.1").name, parse("weight_decay=0").name, parse("same-batch").name
    ('lr*0.1', 'weight_decay=0', 'same-batch')

    Raises:
        ConfigError: it is none of the known ones.
    """
    text = text.replace(" ", "")
    if text in _PLAIN:
        return Change(text, steps=STEPS, seconds=SECONDS)  # type: ignore[arg-type]
    match = re.fullmatch(r"(lr\*|weight_decay=|momentum=|clip=)([-+.\deE]+)", text)
    try:
        value = float(match[2]) if match else None
    except ValueError:
        value = None
    if match is None or value is None or value < 0:
        raise ConfigError("this is no change that can be tried", received=text, allowed=ALLOWED)
    return Change(match[1].rstrip("*="), value, steps=STEPS, seconds=SECONDS)  # type: ignore[arg-type]


def ask(session: Session, changes: Sequence[Change]) -> tuple[Curve, ...]:
    """Run the trials, a control with nothing changed first."""
    parked = session.parked
    if not changes:
        return ()
    if parked is None or not parked.is_open:
        return tuple(Curve(one.name, (), "no training step was seen from which it could go on") for one in changes)
    control = Change("nothing", steps=STEPS, seconds=SECONDS)
    found = []
    for change in (control, *(one for one in changes if one.kind != "nothing")):
        outcome = parked.trial(change, seconds=3 * SECONDS)
        losses = outcome.value.get("losses", []) if isinstance(outcome.value, dict) else []
        found.append(Curve(change.name, tuple(losses), outcome.problem))
    return tuple(found)


def spark(losses: Sequence[float], *, width: int = 48) -> str:
    """A curve in one line of block characters, on a scale from its lowest to its highest finite value.

    >>> spark([4, 3, 2, 1], width=4)
    '█▆▃▁'
    """
    if not losses:
        return ""
    parts = [losses[int(i * len(losses) / width)] for i in range(width)] if len(losses) > width else list(losses)
    finite = [one for one in parts if math.isfinite(one)] or [0.0]
    low, high = min(finite), max(finite)
    blocks = "▁▂▃▄▅▆▇█"

    def block(value: float) -> str:
        if not math.isfinite(value):
            return "×"
        return blocks[round(7 * (value - low) / (high - low))] if high > low else blocks[0]

    return "".join(map(block, parts))
