"""What comparing two models showed, as a person reads it and as plain values.

Not here: comparing (`mlkit.debug.parity.compare`).
"""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mlkit.debug.parity.weights import Matching
from mlkit.debug.sites import Site

Verdict = Literal["same", "same up to rounding", "departs"]
Stage = Literal[
    "evaluation mode", "training mode", "buffers", "gradients", "optimiser steps", "own precision", "compiled"
]
WIDTH = 80


@dataclass(frozen=True)
class Departure:
    """Where and how two models first differ.

    Args:
        stage: of the comparison.
        module: of mine, by name; empty for the model itself.
        kind: its class.
        reference: its counterpart's name.
        where: what differs: its output, the code before something, a buffer, a gradient.
        distance: relative; inf where shapes differ or something is missing.
        tolerance: what rounding allows.
        how: in which way it departs, in words; None where no hypothesis holds.
        proven: whether mending it in a copy made the outputs agree, or the values show it exactly.
        site: the line that called the module.
    """

    stage: Stage
    module: str
    kind: str
    reference: str
    where: str
    distance: float
    tolerance: float
    how: str | None = None
    proven: bool = False
    site: Site | None = None

    def __str__(self) -> str:
        name = f"{self.module} ({self.kind})" if self.module else f"the model itself ({self.kind})"
        other = f", in the reference {self.reference}" if self.reference != self.module else ""
        lines = [f"departs in {self.stage} at {name}{other}: {self.where}"]
        if math.isfinite(self.distance):
            lines.append(f"relative distance {self.distance:.2g}; rounding allows {self.tolerance:.2g}")
        if self.how is not None:
            lines.append(f"{'proven' if self.proven else 'perhaps'}: {self.how}")
        if self.site is not None:
            lines.append(f"at {self.site}: {self.site.source}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Row:
    """One module beside its counterpart.

    Args:
        module: of mine.
        reference: its name there.
        kind: of mine.
        distance: of their outputs.
        tolerance: what rounding allows.
    """

    module: str
    reference: str
    kind: str
    distance: float
    tolerance: float


@dataclass(frozen=True)
class ParityReport:
    """Two models side by side.

    Args:
        verdict: in a few words.
        departure: the first; None where there is none.
        others: other modules that depart by themselves, given what the reference's got.
        matching: of the weights.
        rows: the outputs of all modules that have a counterpart, in evaluation mode.
        compared: stages in which nothing departed.
        notes: what could not be compared, and why.
    """

    verdict: Verdict
    departure: Departure | None
    others: tuple[Departure, ...]
    matching: Matching
    rows: tuple[Row, ...]
    compared: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether nothing departs."""
        return self.departure is None

    def __str__(self) -> str:
        lines = [f"parity: {self.verdict}", ""]
        texts = [str(self.departure)] if self.departure else []
        if self.compared:
            texts.append(f"the same{' so far' if self.departure else ''}: {', '.join(self.compared)}")
        texts.append(f"weights: {self.matching}")
        texts += self.notes
        for other in self.others:
            texts.append(f"by itself, {other.module} ({other.kind}) departs too: {other.how or other.where}")
        for text in texts:
            for line in text.splitlines():
                lines += textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "departure": None if self.departure is None else _plain(self.departure),
            "others": [_plain(one) for one in self.others],
            "matching": asdict(self.matching),
            "rows": [asdict(row) for row in self.rows],
            "compared": list(self.compared),
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(row.module or '(model)')}</td><td>{html.escape(row.reference or '(model)')}</td>"
            f"<td>{html.escape(row.kind)}</td><td>{row.distance:.2g}</td><td>{row.tolerance:.2g}</td>"
            f"<td>{'' if row.distance <= row.tolerance else '✗'}</td></tr>"
            for row in self.rows
        )
        head = "<tr><th>mine</th><th>reference</th><th>kind</th><th>distance</th><th>rounding</th><th></th></tr>"
        table = f"<details><summary>all modules</summary><table>{head}{rows}</table></details>"
        return f"<pre>{html.escape(str(self))}</pre>{table}"


def _plain(one: Departure) -> dict[str, Any]:
    found = asdict(one)
    found["distance"] = one.distance if math.isfinite(one.distance) else None
    found["site"] = None if one.site is None else str(one.site)
    return found
