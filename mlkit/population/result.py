"""What came of a population: each member as `FitResult` tells of one run, and all of them as a table.

Not here: choosing settings from it (`mlkit.search`) and pictures (`mlkit.report`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from mlkit.engine.state import SplitMetrics
from mlkit.errors import ConfigError
from mlkit.metrics.objectives import Directed, direction
from mlkit.population.member import Member
from mlkit.population.record import MemberStatus

WIDTH = 80
ROWS = 40
"""Members that a table shows."""


@dataclass(frozen=True, eq=False)
class MemberResult:
    """What came of one member.

    Args:
        index: its place in the list of members.
        member: its settings.
        model: trained; of a member that diverged with the weights before that step, of one that failed untrained.
        metrics: by split. Of a completed member of whole splits; else of the last epoch's evaluation.
        history: one dictionary an evaluation.
        status: ``"completed"``, ``"stopped"`` (at a rung), ``"diverged"`` or ``"failed"``.
        reason: why it did not complete.
        epochs: completed.
        steps: done.
        examples: seen.
        seconds: of training; members that train together share the time evenly.
        backend: what it was trained by.
    """

    index: int
    member: Member
    model: nn.Module
    metrics: dict[str, SplitMetrics]
    history: list[dict[str, Any]]
    status: MemberStatus
    reason: str | None
    epochs: int
    steps: int
    examples: int
    seconds: float
    backend: str

    def value(self, metric: str) -> float:
        """A metric by ``"split/name"``; NaN where it was not evaluated."""
        split, _, name = metric.partition("/")
        estimate = self.metrics.get(split, {}).get(name)
        return math.nan if estimate is None else estimate.value

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the model."""
        return {
            "index": self.index,
            "member": self.member.describe(),
            "status": self.status,
            "reason": self.reason,
            "epochs": self.epochs,
            "steps": self.steps,
            "examples": self.examples,
            "seconds": round(self.seconds, 3),
            "backend": self.backend,
            "metrics": {
                split: {name: estimate.to_dict() for name, estimate in metrics.items()}
                for split, metrics in self.metrics.items()
            },
        }


@dataclass(frozen=True, eq=False)
class PopulationResult(Sequence[MemberResult]):
    """What came of a population; ``results[3]`` is member 3.

    Args:
        members: in the order given.
        speed: one dictionary a bucket: its members, its back end and why that one.
        rungs: one dictionary a rung: epoch, who went on, and the rank correlation with the rung before.
        seconds: wall time.
        metric: by which the table shows members.
        known: the metrics that were evaluated, which know their direction.
    """

    members: tuple[MemberResult, ...]
    speed: list[dict[str, Any]]
    rungs: list[dict[str, Any]]
    seconds: float
    metric: str = "val/loss"
    known: tuple[Directed, ...] = ()

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: Any) -> Any:
        return self.members[index]

    def __iter__(self) -> Iterator[MemberResult]:
        return iter(self.members)

    def best(self, metric: str | None = None) -> MemberResult:
        """The completed member that is best by ``metric``, ``"split/name"``.

        Raises:
            ConfigError: no member completed, or none has this metric.
        """
        metric = metric or self.metric
        sign = 1.0 if direction(metric.partition("/")[2], self.known) == "min" else -1.0
        rated = [(sign * each.value(metric), each.index) for each in self.members if each.status == "completed"]
        rated = [pair for pair in rated if not math.isnan(pair[0])]
        if not rated:
            received = ", ".join(f"{count} {status}" for status, count in self._counts().items())
            raise ConfigError(f"no completed member has {metric}", received=received)
        return self.members[min(rated)[1]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values of all members, and how they were trained."""
        return {
            "members": [each.to_dict() for each in self.members],
            "speed": self.speed,
            "rungs": self.rungs,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        head, rows = self._table(WIDTH)
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
        more = len(self.members) - len(rows)
        return "\n".join(
            [self._summary(), *(line.rstrip() for line in lines), *([f"and {more} more"] if more > 0 else [])]
        )

    def _repr_html_(self) -> str:
        head, rows = self._table(200)
        cells = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        summary = html.escape(self._summary())
        return f"<p>{summary}</p><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"

    def _summary(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self._counts().items())
        return f"{len(self.members)} members in {self.seconds:.1f} s: {counts}"

    def _counts(self) -> dict[str, int]:
        statuses = [each.status for each in self.members]
        return {status: statuses.count(status) for status in dict.fromkeys(statuses)}

    def _table(self, width: int) -> tuple[list[str], list[list[str]]]:
        """The best members first; as many of the settings that differ as there is room for."""
        sign = 1.0 if direction(self.metric.partition("/")[2], self.known) == "min" else -1.0
        ranks = {"completed": 0, "stopped": 1, "diverged": 2, "failed": 3, "running": 4}

        def place(each: MemberResult) -> tuple[int, bool, float, int]:
            value = sign * each.value(self.metric)
            return ranks[each.status], math.isnan(value), 0.0 if math.isnan(value) else value, each.index

        shown = sorted(self.members, key=place)[:ROWS]
        names = self._differing()
        while True:
            head = ["member", *names, "epochs", self.metric, "status"]
            rows = [
                [
                    str(each.index),
                    *(_cell(getattr(each.member, name)) for name in names),
                    str(each.epochs),
                    f"{each.value(self.metric):.4g}",
                    each.status,
                ]
                for each in shown
            ]
            widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
            if sum(widths) + 2 * (len(widths) - 1) <= width or not names:
                return head, rows
            names = names[:-1]

    def _differing(self) -> list[str]:
        """Names of the settings that are not the same for all members, the user's name for them first."""
        names = [each.name for each in fields(Member) if each.name not in ("tags", "name")]
        described = [each.member.describe() for each in self.members]
        differing = [name for name in names if any(one[name] != described[0][name] for one in described)]
        return (["name"] if any(each.member.name for each in self.members) else []) + differing


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (str, int)) or value is None:
        return str(value)
    if hasattr(value, "shape"):
        return f"{len(value)} values"  # type: ignore[arg-type]
    return getattr(value, "__name__", type(value).__name__) if callable(value) else str(value)
