"""`Estimate`: a number with its interval, or with the reason why it has none.

Not here: how intervals are computed (`mlkit.metrics.intervals`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A value estimated from ``count`` examples, with a 95 % interval.

    Args:
        value: the point estimate.
        low: lower end of the interval; None when there is none.
        high: upper end.
        count: number of independent examples behind it.
        method: how the interval was made ("wilson", "student", "delong", …), or why there is none.
    """

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 0
    method: str = ""

    def to_dict(self) -> dict[str, float | int | str | None]:
        """Plain numbers for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "count": self.count, "method": self.method}

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
