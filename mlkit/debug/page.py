"""A report as HTML: one file for a browser, and the same content as a fragment for a notebook.

Not here: the text for a console and JSON (`mlkit.debug.present`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from mlkit.debug.findings import Finding, Report
from mlkit.debug.present import headline, number, place

# Colours that keep a contrast of at least 4.5 on a light and on a dark ground.
_STYLE = """
.mlkit-report { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; color: var(--ink);
  --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --code: #f3f5f7;
  --error: #b3261e; --warning: #8a5a00; --info: #0b62a8 }
@media (prefers-color-scheme: dark) { .mlkit-report { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d;
  --code: #1f242b; --error: #ff8a80; --warning: #e0b050; --info: #79b8ff } }
.mlkit-report h2 { font-size: 1.25rem; margin: .2rem 0 1rem }
.mlkit-report article { border: 1px solid var(--line); border-left: .3rem solid var(--tone); border-radius: .3rem;
  padding: .7rem 1rem; margin: 0 0 1rem }
.mlkit-report .error { --tone: var(--error) }
.mlkit-report .warning { --tone: var(--warning) }
.mlkit-report .info { --tone: var(--info) }
.mlkit-report h3 { font-size: 1rem; margin: 0 0 .4rem }
.mlkit-report h3 b { color: var(--tone) }
.mlkit-report pre { background: var(--code); padding: .5rem .7rem; border-radius: .3rem; overflow-x: auto;
  margin: .3rem 0; font-size: .87rem }
.mlkit-report dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 0 }
.mlkit-report dt, .mlkit-report .soft { color: var(--soft) }
.mlkit-report dd { margin: 0; overflow-wrap: anywhere }
.mlkit-report .curve { display: grid; grid-template-columns: max-content 1fr; gap: 0 .6rem; margin: .3rem 0 1rem }
.mlkit-report .curve div { display: flex; flex-direction: column; justify-content: space-between; text-align: right }
.mlkit-report svg { width: 100%; height: 9rem; display: block; color: var(--info) }
"""
_BODY = """<style>body { margin: 2rem auto; padding: 0 1rem; max-width: 54rem }
@media (prefers-color-scheme: dark) { body { background: #0d1117 } }</style>"""
_WIDTH, _HEIGHT, _MARGIN = 640.0, 140.0, 6.0


def page(report: Report, *, title: str) -> str:
    """A whole document that needs no other file.

    Args:
        report: what was found.
        title: what was watched, such as the script's name.
    """
    metas = (
        'charset="utf-8"',
        'name="viewport" content="width=device-width"',
        'name="color-scheme" content="light dark"',
    )
    head = "".join(f"<meta {meta}>" for meta in metas) + f"<title>mlkit.watch: {html.escape(title)}</title>"
    return f"<!doctype html><html lang=en>{head}{_BODY}<body>{fragment(report, title=title)}</body></html>\n"


def fragment(report: Report, *, title: str = "") -> str:
    """The report as a part of a page."""
    told = f"{html.escape(title)}: {headline(report)}" if title else f"mlkit.watch: {headline(report)}"
    parts = [f"<h2>{told}</h2>", *(_finding(finding) for finding in report.findings)]
    if len(report.losses) > 1:
        words = f"; it {report.symptom.replace('-', ' ')}" if report.symptom else ""
        parts.append(f'<p class="soft">the loss over {report.steps} steps{words}</p>')
        parts.append(_curve(report.loss_steps or range(len(report.losses)), report.losses))
    for curve in report.curves:
        asked = "with nothing changed" if curve.name == "nothing" else f"with {curve.name}"
        parts.append(f"<p>from the first step on {html.escape(asked)}: {html.escape(curve.verdict)}</p>")
        parts.append(_curve(range(len(curve.losses)), curve.losses))
    spent = f"{report.seconds:.1f} s, of which {report.overhead:.1f} s were mlkit's"
    parts.append(f'<p class="soft">{report.steps} steps in {spent}</p>')
    parts += [f'<p class="soft">note: {html.escape(note)}</p>' for note in report.notes]
    if report.skipped:
        rows = "".join(f"<dt>{html.escape(what)}</dt><dd>{html.escape(why)}</dd>" for what, why in report.skipped)
        parts.append(f'<details class="soft"><summary>what could not be looked at</summary><dl>{rows}</dl></details>')
    return f'<style>{_STYLE}</style><div class="mlkit-report">{"".join(parts)}</div>'


def _finding(finding: Finding) -> str:
    parts = [f"<h3><b>{finding.severity}</b> {html.escape(finding.message)}</h3>"]
    if finding.site is not None:
        parts.append(f"<div><code>{html.escape(place(finding))}</code> in {html.escape(finding.site.function)}</div>")
        if finding.site.source:
            parts.append(f"<pre>{html.escape(finding.site.source)}</pre>")
    rows: list[tuple[str, str]] = []
    if finding.evidence:
        shown = ", ".join(f"{name} {number(value)}" for name, value in finding.evidence.items())
        rows.append(("evidence", html.escape(shown)))
    if finding.mechanism:
        rows.append(("why", html.escape(finding.mechanism)))
    if finding.fix:
        fix = html.escape(finding.fix)
        rows.append(("fix", f"<pre>{fix}</pre>" if "\n" in finding.fix else fix))
    rows += [("follows", html.escape(f"{other.message} [{other.code}]")) for other in finding.related]
    rows.append(("code", f"<code>{finding.code}</code>, python -m mlkit.watch --explain {finding.code}"))
    listed = "".join(f"<dt>{name}</dt><dd>{what}</dd>" for name, what in rows)
    return f'<article class="{finding.severity}">{"".join(parts)}<dl>{listed}</dl></article>'


def _curve(steps: Sequence[int], losses: Sequence[float]) -> str:
    """Losses as a line, with its highest and lowest value; values that are not finite are gaps."""
    finite = [value for value in losses if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite), max(finite)
    span, length = (high - low) or 1.0, max(steps[-1] - steps[0], 1)
    runs: list[list[str]] = [[]]
    for step, value in zip(steps, losses, strict=True):
        if not math.isfinite(value):
            runs.append([])
            continue
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (step - steps[0]) / length
        y = _MARGIN + (_HEIGHT - 2 * _MARGIN) * (high - value) / span
        runs[-1].append(f"{x:.1f},{y:.1f}")
    form = 'fill="none" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke"'
    lines = "".join(f'<polyline points="{" ".join(run)}" {form}/>' for run in runs if run)
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" preserveAspectRatio="none" role="img"'
    scale = f'<div class="soft"><span>{high:.4g}</span><span>{low:.4g}</span></div>'
    return f'<div class="curve">{scale}<svg {box}>{lines}</svg></div>'
