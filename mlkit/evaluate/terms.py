"""`Term`: one part of an error, with its interval, whether it is told from 0, and how many rows would tell it.

Not here: how the intervals are made (`mlkit.evaluate.differences`, `mlkit.evaluate.uncertainty`) nor what is done about
a term (the advice).
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDTH = 80
INDENT = "  "
NARROWEST = 16  # columns for a note: "not resolved:" and a word


@dataclass(frozen=True)
class Term:
    """A part of an error.

    Args:
        name: what it is called everywhere.
        value: the estimate, in the unit of the error or loss.
        low: lower end of the 95 % interval; None where there is none, and ``method`` says why.
        high: upper end.
        resolved: whether the interval leaves out 0. A value that is given and taken as exact is resolved.
        rows_to_resolve: how many rows (of each set that the term compares) would make an interval around the present
            value just leave out 0; None where it is resolved, or where no number of rows would do.
        method: how the interval was made, or why there is none.

    >>> print(Term("variance", 0.21, 0.15, 0.3, method="delta"))
    variance 0.2100 [0.1500, 0.3000]
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    resolved: bool = False
    rows_to_resolve: int | None = None
    method: str = ""

    def to_dict(self) -> dict[str, float | int | str | bool | None]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "resolved": self.resolved,
            "rows_to_resolve": self.rows_to_resolve,
            "method": self.method,
        }

    def __str__(self) -> str:
        decimals = decimals_of([self])
        return f"{self.name} {fixed(self.value, decimals)} {interval(self, decimals)}".rstrip()


def estimated(
    name: str,
    value: float,
    ends: tuple[float, float] | None,
    *,
    method: str,
    rows_to_resolve: int | None = None,
) -> Term:
    """A term from its interval: resolved where the interval leaves out 0.

    Args:
        name: of the term.
        value: the estimate.
        ends: of the interval; None where there is none.
        method: how the interval was made, or why there is none.
        rows_to_resolve: kept only where the term is not resolved.

    >>> estimated("shift", 0.01, (-0.02, 0.04), method="newcombe", rows_to_resolve=900).resolved
    False
    """
    if ends is None or not all(map(math.isfinite, ends)):
        return Term(name, value, method=method if method.startswith("none") else f"none: {method} failed")
    resolved = bool(ends[0] > 0 or ends[1] < 0)  # numpy's own bool is not written as JSON
    return Term(name, value, *ends, resolved, None if resolved else rows_to_resolve, method)


def dominant(terms: Sequence[Term], *, unit: str = "error") -> str:
    """One sentence: which of ``terms`` is the largest, and whether the intervals show that it is.

    Args:
        terms: parts of one error that are to be compared with each other.
        unit: what they are parts of.

    >>> dominant([Term("bias", 0.3, 0.2, 0.4, True), Term("variance", 0.1, 0.05, 0.15, True)])
    'bias dominates: 0.300, its interval above those of all other terms'
    """
    measured = [term for term in terms if term.resolved and term.value > 0]
    if not measured:
        rows = [term.rows_to_resolve for term in terms if term.rows_to_resolve is not None]
        more = f"; {min(rows):,} rows in each set would resolve the first" if rows else ""
        return f"no term of the {unit} is resolved{more}"
    first = max(measured, key=lambda term: term.value)
    shown = fixed(first.value, decimals_of([first]))
    rivals = [term for term in terms if term is not first and (term.high or term.value) >= (first.low or first.value)]
    if not rivals:
        return f"{first.name} dominates: {shown}, its interval above those of all other terms"
    names = ", ".join(term.name for term in rivals)
    return f"{first.name} is the largest resolved term, {shown}, but which is larger, it or {names}, is not resolved"


def lines_of(terms: Sequence[Term], *, parts_of: Mapping[str, str] | None = None) -> list[str]:
    """The terms under each other, at most 80 columns: name, value, interval, and what is not resolved.

    Args:
        terms: in the order in which they are shown.
        parts_of: name of a term to the name under which it is set, further in.
    """
    decimals = decimals_of(terms)
    names = [(INDENT if parts_of and term.name in parts_of else "") + term.name for term in terms]
    values = [fixed(term.value, decimals) for term in terms]
    ends = [interval(term, decimals) for term in terms]
    widths = [max(map(len, column), default=0) for column in (names, values, ends)]
    lines = []
    for name, value, end, term in zip(names, values, ends, terms, strict=True):
        line = f"{INDENT}{name:<{widths[0]}}  {value:>{widths[1]}}  {end:<{widths[2]}}"
        room = WIDTH - len(line) - 2
        if room < NARROWEST:
            lines += [line.rstrip(), *wrapped(note(term), first=3 * INDENT, rest=3 * INDENT)]
            continue
        notes = textwrap.wrap(note(term), room)
        lines.append(f"{line}  {notes[0] if notes else ''}".rstrip())
        lines += [" " * (len(line) + 2) + rest for rest in notes[1:]]
    return lines


def note(term: Term) -> str:
    """What is to be said beside a term's numbers; empty where they say it all."""
    if term.low is None:
        return term.method.removeprefix("none: ")
    if term.resolved:
        return ""
    if term.rows_to_resolve is not None:
        return f"not resolved: needs {term.rows_to_resolve:,} rows"
    return "not resolved"


def wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    """``text`` in lines of at most 80 columns."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)


def table_html(terms: Sequence[Term], *, title: str, notes: Sequence[str], picture: str = "") -> str:
    """The terms as an HTML table in the colours of the page, light or dark, with notes and a picture below."""
    cell = "text-align:left;padding:2px 10px;border:none;background:none"
    decimals = decimals_of(terms)
    rows = "".join(_row_html(term, cell, decimals) for term in terms)
    head = "".join(
        f'<th style="{cell};border-bottom:1px solid currentColor">{name}</th>'
        for name in ("term", "value", "95 % interval", "")
    )
    below = "".join(f'<div style="opacity:0.75;max-width:60em">{html.escape(text)}</div>' for text in notes)
    return (
        f'<div style="font-variant-numeric:tabular-nums"><div><b>{html.escape(title)}</b></div>'
        f'<table style="border-collapse:collapse"><tr>{head}</tr>{rows}</table>{below}{picture}</div>'
    )


def _row_html(term: Term, cell: str, decimals: int) -> str:
    texts = (term.name, fixed(term.value, decimals), interval(term, decimals), note(term))
    return "<tr>" + "".join(f'<td style="{cell}">{html.escape(text)}</td>' for text in texts) + "</tr>"


def decimals_of(terms: Sequence[Term]) -> int:
    """Decimals that show every interval to two digits, at least 2; at most 4 from 0.1 on, and 7 for smaller numbers.

    Where nothing has an interval there are 4.
    """
    needed = list(_needed(terms))
    largest = max((abs(term.value) for term in terms), default=0.0)
    return min(max(2, *needed), 4 if largest >= 0.1 else 7) if needed else 4


def _needed(terms: Sequence[Term]) -> Iterator[int]:
    for term in terms:
        if term.low is not None and term.high is not None and term.high > term.low:
            yield 2 - math.floor(math.log10((term.high - term.low) / 2))


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; in short where it is very large."""
    return f"{value:.{decimals}f}" if abs(value) < 1e7 else f"{value:.4g}"


def interval(term: Term, decimals: int) -> str:
    """``[low, high]``, or nothing."""
    if term.low is None or term.high is None:
        return ""
    return f"[{fixed(term.low, decimals)}, {fixed(term.high, decimals)}]"
