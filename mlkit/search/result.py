"""`SearchResult`: the best configurations, how the ranges went, what matters, and where trials fail.

Not here: how any of it is found, nor pictures of it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlkit.metrics.objectives import Direction
from mlkit.search.dimensions import Value
from mlkit.search.edges import Edge
from mlkit.search.finals import Comparison
from mlkit.search.halving import Halving
from mlkit.search.importance import Importance
from mlkit.search.regions import Plausible, Region
from mlkit.search.space import Params, Space
from mlkit.search.trials import Trial

WIDTH = 80
SHOWN = 5  # configurations in the text; all are in `trials`


@dataclass(frozen=True)
class Round:
    """One round of a search.

    Args:
        number: from 0.
        count: trials in it.
        failed: how many of them were infeasible.
        space: the ranges in effect.
        focus: where the best tenth of all trials lay afterwards.
        best: number of the best trial so far.
        best_score: its score.
        halving: how trials were stopped; None where all were whole runs.
    """

    number: int
    count: int
    failed: int
    space: Space
    focus: tuple[Plausible, ...]
    best: int
    best_score: float | None
    halving: Halving | None

    def __str__(self) -> str:
        score = "-" if self.best_score is None else f"{self.best_score:.4g}"
        failed = f", {self.failed} failed" if self.failed else ""
        stopped = "" if self.halving is None else f", trained {'/'.join(map(str, self.halving.counts))}"
        return f"round {self.number}: {self.count} trials{stopped}{failed}, best {score} (trial {self.best})"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "round": self.number,
            "count": self.count,
            "failed": self.failed,
            "space": self.space.to_dict(),
            "focus": [part.to_dict() for part in self.focus],
            "best": self.best,
            "best_score": self.best_score,
            "halving": None if self.halving is None else self.halving.to_dict(),
        }


@dataclass(frozen=True)
class SearchResult:
    """What came of a search; print it.

    Args:
        space: as it was given.
        last_space: with the ranges that have grown.
        direction: which way scores are better.
        trials: all, in the order of proposal.
        ranked: their numbers, best first by the search's own seed.
        rounds: how it went.
        edges: ranges at whose edges the best trials sat.
        comparison: of the finalists over seeds; None when there was none, and `notes` says why.
        importance: of each hyper-parameter, from the first round.
        plausible: values with which trials were as good as the best.
        infeasible: regions where trials failed.
        notes: what else is to be known.
        seconds: wall time.
    """

    space: Space
    last_space: Space
    direction: Direction
    trials: tuple[Trial, ...]
    ranked: tuple[int, ...]
    rounds: tuple[Round, ...]
    edges: tuple[Edge, ...]
    comparison: Comparison | None
    importance: tuple[Importance, ...]
    plausible: tuple[Plausible, ...]
    infeasible: tuple[Region, ...]
    notes: tuple[str, ...]
    seconds: float

    @property
    def best(self) -> Trial:
        """The first of the tie set; without a comparison the best by the search's own seed."""
        return self.tie_set[0]

    @property
    def params(self) -> Params:
        """The values of the best."""
        return dict(self.best.params)

    @property
    def tie_set(self) -> tuple[Trial, ...]:
        """The trials that may be the best, best mean first; only the best where seeds were not compared."""
        if self.comparison is None or not self.comparison.ties:
            return (self.trials[self.ranked[0]],)
        return tuple(self.trials[number] for number in self.comparison.ties)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "space": self.space.to_dict(),
            "last_space": self.last_space.to_dict(),
            "direction": self.direction,
            "best": self.best.to_dict(),
            "ties": [trial.number for trial in self.tie_set],
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
            "rounds": [part.to_dict() for part in self.rounds],
            "edges": [edge.to_dict() for edge in self.edges],
            "importance": [item.to_dict() for item in self.importance],
            "plausible": [part.to_dict() for part in self.plausible],
            "infeasible": [region.to_dict() for region in self.infeasible],
            "notes": list(self.notes),
            "seconds": self.seconds,
            "trials": [trial.to_dict() for trial in self.trials],
        }

    def __str__(self) -> str:
        head = [piece for line in self._head() for piece in _wrapped(line)]
        blocks = [head, self._best_ones(), self._parameters(), self._rounds(), self._remarks()]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    def _repr_html_(self) -> str:
        names = self.space.searched
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", "score", *names))
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in self._row(trial)) + "</tr>"
            for trial in self._shown()
        )
        text = html.escape(
            "\n\n".join("\n".join(b) for b in (self._parameters(), self._rounds(), self._remarks()) if b)
        )
        first = html.escape(" ".join(self._head()))
        return f"<p>{first}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><pre>{text}</pre>"

    def _head(self) -> list[str]:
        failed = sum(trial.reason is not None for trial in self.trials)
        way = "smallest" if self.direction == "min" else "largest"
        runs = sum(len(trial.seeds) for trial in self.trials)
        more = f" and {runs} runs with other seeds" if runs else ""
        lines = [f"{len(self.trials)} trials{more} in {_duration(self.seconds)}, {failed} infeasible; {way} is best"]
        if self.comparison is not None:
            lines.append(f"score of the chosen one, without the luck of the choice: {self.comparison.corrected}")
        elif self.best.score is not None:
            lines.append(f"best score {self.best.score:.4g}, of one run: chosen for being best, it is too good")
        return lines

    def _shown(self) -> list[Trial]:
        if self.comparison is not None and self.comparison.ties:
            return list(self.tie_set)[:SHOWN]
        return [self.trials[number] for number in self.ranked[:SHOWN] if self.trials[number].feasible]

    def _best_ones(self) -> list[str]:
        tied = self.comparison is not None and bool(self.comparison.ties)
        count = len(self.tie_set)
        title = f"level with each other ({count} of {len(self.comparison.scores)} compared)" if self.comparison else ""
        if count == 1 and self.comparison:
            title = f"better than the {len(self.comparison.scores) - 1} others compared"
        shown = self._shown()
        if not shown:
            return []
        rows = [["trial", "mean" if tied else "score", *self.space.searched], *map(self._row, shown)]
        return [title or "best by one run each", *_table(rows)]

    def _row(self, trial: Trial) -> list[str]:
        compared = self.comparison is not None and trial.number in self.comparison.scores
        score = self.comparison.mean(trial.number) if self.comparison is not None and compared else trial.score
        cells = [str(trial.number), "-" if score is None else f"{score:.4g}"]
        return cells + [_short(trial.params[name]) for name in self.space.searched]

    def _parameters(self) -> list[str]:
        importance = {item.name: item for item in self.importance}
        rows = [["hyper-parameter", "good values", "importance", "expected"]]
        for part in sorted(self.plausible, key=lambda p: -(importance[p.name].share if p.name in importance else 0.0)):
            item = importance.get(part.name)
            share = "-" if item is None else f"{item.share:.0%} [{item.low:.0%}, {item.high:.0%}]"
            if item is not None and not item.resolved:
                share += " not resolved"
            rows.append([part.name, str(part), share, (item and item.expected) or ""])
        if len(rows) == 1:
            return []
        count = self.plausible[0].count
        good = f"{count} trial{'s' * (count > 1)} level with the best"
        meaning = f"good values: of the {good}; importance: over the first round"
        return [*_table(rows, left=4), *_wrapped(meaning)]

    def _rounds(self) -> list[str]:
        return [str(part) for part in self.rounds]

    def _remarks(self) -> list[str]:
        lines = [f"infeasible: {region}" for region in self.infeasible]
        lines += [f"edge: {edge}" for edge in self.edges]
        if self.comparison is not None:
            lines += [f"trial {number} is out: {why}" for number, why in self.comparison.failed.items()]
        return [piece for line in [*lines, *self.notes] for piece in _wrapped(line)]


def _table(rows: list[list[str]], *, left: int = 1) -> list[str]:
    """Columns, the first ``left`` of them text; where a line is too wide, the columns go on below."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for columns in _fitting(widths):
        for row in rows:
            cells = [row[i].ljust(widths[i]) if i < left else row[i].rjust(widths[i]) for i in columns]
            lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def _fitting(widths: list[int]) -> Iterator[list[int]]:
    """Columns for each block of lines; the first one leads every block."""
    block = [0]
    for column in range(1, len(widths)):
        if sum(widths[i] + 2 for i in [*block, column]) > WIDTH and len(block) > 1:
            yield block
            block = [0]
        block.append(column)
    yield block


def _wrapped(line: str) -> list[str]:
    import textwrap

    return textwrap.wrap(line, WIDTH, subsequent_indent="  ")


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _duration(seconds: float) -> str:
    if math.isnan(seconds) or seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"
