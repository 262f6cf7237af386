"""A report as text for a console, root cause first; and files with it, JSON and HTML.

Not here: what is in it.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

from mlkit.debug.findings import Finding, Report
from mlkit.debug.questions import spark

_COLOURS = {"error": "31", "warning": "33", "info": "36", "bold": "1", "dim": "2", "ok": "32"}


def text(report: Report, *, colour: bool = False, width: int = 100) -> str:
    """A report for people: the root cause whole, others shorter, notes last.

    Args:
        report: what was found.
        colour: whether to use terminal colours.
        width: columns of the terminal.
    """
    width = max(48, min(width, 110))
    paint = _painter(colour)
    lines = [paint("bold", f"mlkit.watch: {headline(report)}")]
    for number, finding in enumerate(report.findings):
        lines += ["", *_finding(finding, paint, width, whole=number == 0 or finding.severity == "error")]
    facts = f"{report.steps} steps in {report.seconds:.1f} s, of which {report.overhead:.1f} s were mlkit's"
    if report.symptom and report.symptom != "falls":
        facts += f"; the loss {report.symptom.replace('-', ' ')}" if report.symptom != "crashes" else ""
    if report.curves:
        lines += ["", paint("bold", "what if, from the first step on:")]
        for curve in report.curves:
            lines += [f"  {curve.name}: {curve.verdict}", f"    {spark(curve.losses, width=width - 6)}"]
    lines += ["", paint("dim", facts)]
    lines += [paint("dim", line) for note in report.notes for line in textwrap.wrap(f"note: {note}", width)]
    internal = [f"{what}: {why}" for what, why in report.skipped if "internal error" in why]
    lines += [paint("dim", line) for one in internal for line in textwrap.wrap(f"not looked at: {one}", width)]
    return "\n".join(lines)


def one_line(finding: Finding, *, colour: bool = False) -> str:
    """A finding as it is proven, while the program runs on."""
    paint = _painter(colour)
    where = f" {place(finding)}" if finding.site else ""
    return f"mlkit.watch: {paint(finding.severity, finding.severity)}{where} {finding.message} [{finding.code}]"


def write_json(report: Report, path: Path) -> None:
    """Write a report for programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.to_dict(), indent=1, default=str) + "\n")


def write_html(report: Report, path: Path, *, title: str) -> None:
    """Write a report for a browser."""
    from mlkit.debug.page import page

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(report, title=title), encoding="utf-8")


def _painter(colour: bool) -> Callable[[str, str], str]:
    def paint(name: str, what: str) -> str:
        return f"\x1b[{_COLOURS[name]}m{what}\x1b[0m" if colour else what

    return paint


def headline(report: Report) -> str:
    """How many findings there are of each severity."""
    if not report.findings:
        return "nothing found"
    counts = [
        (severity, sum(finding.severity == severity for finding in report.findings))
        for severity in ("error", "warning", "info")
    ]
    words = [f"{count} {name}{'s' if count > 1 and name != 'info' else ''}" for name, count in counts if count]
    return ", ".join(words)


def place(finding: Finding) -> str:
    """``file:line``, relative to the working folder where that is shorter."""
    assert finding.site is not None
    name = finding.site.file
    relative = os.path.relpath(name) if not name.startswith("<") else name
    return f"{relative if len(relative) < len(name) else name}:{finding.site.line}"


def _finding(finding: Finding, paint: Callable[[str, str], str], width: int, *, whole: bool) -> list[str]:
    head = f"{finding.severity}: {finding.message}"
    lines = textwrap.wrap(head, width)
    lines[0] = lines[0].replace(finding.severity, paint(finding.severity, finding.severity), 1)
    if finding.site:
        lines.append(f"  {paint('bold', place(finding))} in {finding.site.function}")
        if finding.site.source:
            lines.append(f"    {finding.site.source}")
    if finding.evidence:
        shown = ", ".join(f"{name} {number(value)}" for name, value in finding.evidence.items())
        lines += _wrapped("evidence", shown, width)
    if whole and finding.mechanism:
        lines += _wrapped("why", finding.mechanism, width)
    if finding.fix:
        if "\n" in finding.fix:
            lines += ["  fix:", *(f"    {line}" for line in finding.fix.splitlines())]
        else:
            lines += _wrapped("fix", finding.fix, width)
    for other in finding.related:
        lines += [paint("dim", line) for line in _wrapped("follows", f"{other.message} [{other.code}]", width)]
    lines.append(paint("dim", f"  [{finding.code}] more: python -m mlkit.watch --explain {finding.code}"))
    return lines


def _wrapped(label: str, what: str, width: int) -> list[str]:
    return textwrap.wrap(f"{label}: {what}", width - 2, initial_indent="  ", subsequent_indent="    ")


def number(value: object) -> str:
    """A value of a finding's evidence, short."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "[" + ", ".join(number(item) for item in value[:8]) + (", …]" if len(value) > 8 else "]")
    return str(value)
