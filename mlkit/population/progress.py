"""`Progress`: how a population stands, as one line; given to whoever asked for it.

Not here: single runs (`mlkit.tracking.Console`).
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

# As often as a line can be read.
SECONDS_BETWEEN_LINES = 1.0


@dataclass(frozen=True)
class Progress:
    """How a population stands.

    Args:
        epoch: completed by all members that are still training.
        max_epochs: of the whole run.
        active: members still training.
        members: members in all.
        metric: by which ``best`` is judged.
        best: best value among the members still training; NaN: none yet.
        best_member: whose it is.
        seconds: since the start, earlier parts of a resumed run left out.
        left: seconds that the rest will take at the present pace, at most: fewer where members are stopped.

    >>> print(Progress(3, 27, 20, 64, "val/loss", 0.12, 5, seconds=10.0, left=33.0))
    epoch 3/27  20 of 64 members  best val/loss 0.12 (member 5)  10 s, at most 33 s left
    """

    epoch: int
    max_epochs: int
    active: int
    members: int
    metric: str
    best: float
    best_member: int | None
    seconds: float
    left: float

    def __str__(self) -> str:
        best = "" if self.best_member is None else f"  best {self.metric} {self.best:.4g} (member {self.best_member})"
        left = "" if math.isnan(self.left) or not self.active else f", at most {_time(self.left)} left"
        return (
            f"epoch {self.epoch}/{self.max_epochs}  {self.active} of {self.members} members{best}"
            f"  {_time(self.seconds)}{left}"
        )


Report = Callable[[Progress], object]


def reporter(wish: Report | bool) -> Report | None:
    """What ``progress=`` means: True writes lines to the standard error stream, False nothing."""
    if isinstance(wish, bool):
        return Lines() if wish else None
    return wish


class Lines:
    """Writes a line an epoch to the standard error stream, at most one a second; the last one always."""

    def __init__(self) -> None:
        self._written = 0.0

    def __call__(self, progress: Progress) -> None:
        is_last = not progress.active or progress.epoch == progress.max_epochs
        if is_last or time.monotonic() - self._written >= SECONDS_BETWEEN_LINES:
            self._written = time.monotonic()
            sys.stderr.write(f"{progress}\n")
            sys.stderr.flush()


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
