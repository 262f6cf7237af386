"""The report on one batch as HTML: for a browser and for notebooks.

Not here: its text (`mlkit.debug.overfit.report`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from mlkit.debug.overfit.cause import CauseReport, sureness
from mlkit.debug.overfit.report import OverfitReport
from mlkit.debug.overfit.verdict import MEANS

_STYLE = """
.mlkit-overfit { font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; color: var(--ink); --ink: #1b1f24;
  --soft: #57606a; --line: #d0d7de; --a: #0b62a8; --b: #8a5a00; --c: #7a3e9d; --d: #1a7f37 }
@media (prefers-color-scheme: dark) { .mlkit-overfit { --ink: #e6edf3; --soft: #9aa4af; --line: #3d444d;
  --a: #79b8ff; --b: #e0b050; --c: #d2a8ff; --d: #56d364 } }
.mlkit-overfit h2 { font-size: 1rem; margin: .8rem 0 .4rem }
.mlkit-overfit svg { width: 100%; height: 14rem; display: block; border: 1px solid var(--line); border-radius: .3rem }
.mlkit-overfit .soft { color: var(--soft) }
.mlkit-overfit .key b { font-weight: 600 }
.mlkit-overfit table { border-collapse: collapse; margin: .6rem 0 }
.mlkit-overfit td, .mlkit-overfit th { padding: .2rem .8rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line) }
"""
_TONES = ("a", "b", "c", "d")
_WIDTH, _HEIGHT, _MARGIN = 640.0, 220.0, 8.0


def fragment(report: OverfitReport) -> str:
    """The report as a part of a page."""
    word = report.verdict.symptom
    parts = [
        f"<h2>overfit one batch: {html.escape(word)}</h2>",
        f"<p>{html.escape(MEANS[word])}. {html.escape(report.verdict.because)}</p>",
        picture({name: course.losses for name, course in report.curves().items()}),
    ]
    parts += [f"<p>{html.escape(note)}</p>" for note in report.notes]
    about = f"{report.examples} examples ({report.fingerprint}), {report.seconds:.1f} s"
    parts.append(f'<p class="soft">{about}</p>')
    return styled("".join(parts))


def cause_fragment(report: CauseReport) -> str:
    """The verdict, what cures, and all trials as a part of a page."""
    parts = [fragment(report.overfit)]
    if not report.is_fine:
        parts += [
            f"<p><b>{sureness(finding)}</b>: {html.escape(finding.message)} <code>{finding.code}</code></p>"
            for finding in report.findings
        ]
        if report.cure is None:
            told = ("no change cures", "Look at what the model computes, and at the data.")
            if report.untried:
                tried = len(report.trials) - report.untried
                told = (f"{tried} of {len(report.trials)} changes were tried, none cures", "The time was over.")
            if report.overfit.is_fine:
                told = ("the batch is fitted all the same", "The finding says what to change.")
            parts.append(f"<h2>{told[0]}</h2><p>{told[1]}</p>")
        else:
            change = report.cure.change
            word = "fitted all the same, and with" if report.overfit.is_fine else "the smallest change that cures"
            parts.append(f"<h2>{word}: {html.escape(change.name)}</h2>")
            parts.append(f"<p>{html.escape(change.cause)}</p><pre>{html.escape(change.fix)}</pre>")
            if change.override:
                parts.append(f'<p class="soft">as a setting: <code>{html.escape(change.override)}</code></p>')
            cured = report.cure.trial.course
            if cured is not None:
                parts.append(picture({"as it was": report.overfit.course.losses, change.name: cured.losses}))
        rows = "".join(
            f"<tr><td>{'✓' if trial.cures else ''}</td><td>{html.escape(trial.change.name)}</td>"
            f"<td>{trial.verdict.symptom if trial.verdict else html.escape(trial.problem or '')}</td>"
            f"<td>{'' if math.isnan(trial.share) or trial.verdict is None else f'{trial.share:.0%}'}</td></tr>"
            for trial in report.trials
        )
        head = "<tr><th></th><th>change</th><th>course</th><th>fitted</th></tr>"
        parts.append(
            f"<details><summary>all trials, {report.steps} steps each at most</summary>"
            f"<table>{head}{rows}</table></details>"
        )
    return styled("".join(parts))


def styled(content: str) -> str:
    """Content with the style of these pages."""
    return f'<style>{_STYLE}</style><div class="mlkit-overfit">{content}</div>'


def document(content: str, *, title: str) -> str:
    """A whole page that needs no other file."""
    metas = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    scheme = '<meta name="color-scheme" content="light dark">'
    body = "<style>body { margin: 2rem auto; padding: 0 1rem; max-width: 54rem }</style>"
    name = f"<title>{html.escape(title)}</title>"
    return f"<!doctype html><html lang=en>{metas}{scheme}{name}{body}<body>{content}</body></html>\n"


def picture(curves: Mapping[str, Sequence[float]]) -> str:
    """Loss curves over steps in one plot; the height is logarithmic where all losses are above zero."""
    finite = [value for losses in curves.values() for value in losses if math.isfinite(value)]
    if len(finite) < 2:
        return ""
    is_log = min(finite) > 0 and max(finite) / min(finite) > 5
    # Losses under a ten-thousandth of the largest are all the same to the eye.
    least = max(finite) * 1e-4

    def scaled(value: float) -> float:
        return math.log10(max(value, least)) if is_log else value

    low, high = scaled(min(finite)), scaled(max(finite))
    length = max(max(map(len, curves.values())) - 1, 1)
    lines, keys = [], []
    for tone, (name, losses) in zip(_TONES, curves.items(), strict=False):
        runs: list[list[str]] = [[]]
        for step, value in enumerate(losses):
            if not math.isfinite(value):
                runs.append([])
                continue
            x = _MARGIN + (_WIDTH - 2 * _MARGIN) * step / length
            y = _MARGIN + (_HEIGHT - 2 * _MARGIN) * (high - scaled(value)) / ((high - low) or 1.0)
            runs[-1].append(f"{x:.1f},{y:.1f}")
        form = f'fill="none" stroke="var(--{tone})" stroke-width="1.7" vector-effect="non-scaling-stroke"'
        lines += [f'<polyline points="{" ".join(run)}" {form}/>' for run in runs if run]
        end = losses[-1] if losses else math.nan
        keys.append(f'<span style="color: var(--{tone})">— <b>{html.escape(name)}</b> {end:.3g}</span>')
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" preserveAspectRatio="none" role="img"'
    told = f"loss from {max(finite):.3g} to {min(finite):.3g}{', logarithmic' if is_log else ''}, {length + 1} steps"
    key = f'<p class="key">{" &nbsp; ".join(keys)} <span class="soft">({told})</span></p>'
    return f"<svg {box}>{''.join(lines)}</svg>{key}"
