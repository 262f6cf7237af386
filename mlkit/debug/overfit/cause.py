"""What was tried and what cured: the trials, the cure, and the report that holds them.

Not here: running trials (`mlkit.debug.overfit.prove`).
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

from mlkit.debug.findings import Finding
from mlkit.debug.overfit.changes import Change
from mlkit.debug.overfit.course import Course
from mlkit.debug.overfit.report import WIDTH, OverfitReport
from mlkit.debug.overfit.verdict import Verdict
from mlkit.metrics.estimate import Estimate


@dataclass(frozen=True)
class Trial:
    """A short training with one change.

    Args:
        change: what was changed.
        verdict: of the changed training; None where there was none.
        course: of it.
        share: how much of the batch it fitted, 0 to 1, in the worse of both modes.
        problem: why it could not be made.
    """

    change: Change
    verdict: Verdict | None = None
    course: Course | None = None
    share: float = 0.0
    problem: str | None = None

    @property
    def cures(self) -> bool:
        """Whether the batch is fitted with the change."""
        return self.verdict is not None and self.verdict.is_fine

    @property
    def rank(self) -> float:
        """How helpful it was: what it fitted, and where that is the same, how far the loss came down."""
        if self.course is None or not self.course.losses or math.isnan(self.share):
            return -1.0
        first, last = self.course.losses[0], self.course.losses[-1]
        fell = (first - last) / max(abs(first), 1e-9) if math.isfinite(last) else -1.0
        return self.share + 0.01 * max(-1.0, min(1.0, fell))


@dataclass(frozen=True)
class Cure:
    """The smallest change that cures.

    Args:
        trial: on the whole batch.
        effect: how much more of the batch is fitted with it, over three replicates; None where only the loss is judged.
    """

    trial: Trial
    effect: Estimate | None

    @property
    def change(self) -> Change:
        """What to change."""
        return self.trial.change


@dataclass(frozen=True)
class CauseReport:
    """The verdict on one batch and, where it is not fitted, why.

    Args:
        overfit: the first verdict.
        findings: errors, which the doctor's rules prove, and warnings.
        trials: all changes, in the order they were tried.
        cure: the smallest change that cures, or None.
        steps: of a trial, at most.
        seconds: all trials took.
    """

    overfit: OverfitReport
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...]
    cure: Cure | None = None
    steps: int = 0
    seconds: float = 0.0

    @property
    def is_fine(self) -> bool:
        """Whether the batch is fitted, and no rule proves a mistake that one batch does not show."""
        return self.overfit.is_fine and not self.findings

    @property
    def untried(self) -> int:
        """How many changes the time did not last for."""
        return sum(1 for trial in self.trials if trial.problem and trial.problem.startswith("not tried"))

    def __str__(self) -> str:
        lines = [str(self.overfit)]
        if self.is_fine:
            return lines[0]
        for finding in self.findings:
            told = f"{sureness(finding)}: {finding.message} [{finding.code}]"
            lines += ["", *textwrap.wrap(told, WIDTH, subsequent_indent="  ")]
        lines.append("")
        lines += self._conclusion()
        lines.append("")
        for trial in self.trials:
            if trial.problem is None and trial.verdict is not None:
                mark = "✓" if trial.cures else " "
                lines.append(
                    f"  {mark} {trial.change.name[:50]:<50} {trial.verdict.symptom:<14} {_percent(trial.share)}"
                )
        tried = sum(trial.problem is None for trial in self.trials)
        lines.append(
            f"  {tried} trials of at most {self.steps} steps, {self.seconds:.1f} s; the last column is the part"
        )
        lines.append("  of the batch that is fitted")
        if self.untried:
            lines.append(f"  {self.untried} more were not tried: the time was over")
        return "\n".join(lines)

    def _conclusion(self) -> list[str]:
        if self.overfit.is_fine:
            return self._mended()
        if self.cure is None:
            kind = (
                "no change cures, nor any pair"
                if any(" and " in t.change.name for t in self.trials)
                else "no change cures"
            )
            told = f"{kind} of those that were tried: look at what the model computes, and at the data"
            if self.untried:
                tried = len(self.trials) - self.untried
                told = (
                    f"{tried} of {len(self.trials)} changes were tried, and none cures: the time was over. More of it"
                )
                told += (
                    " (seconds=), or fewer examples in the batch, which make steps cheaper, lets the others be tried"
                )
            return textwrap.wrap(told, WIDTH)
        change, effect = self.cure.change, self.cure.effect
        shown = "" if effect is None else f" (fitted: {_signed(effect)} over 3 replicates)"
        lines = textwrap.wrap(f"the smallest change that cures: {change.name}{shown}", WIDTH, subsequent_indent="  ")
        lines += textwrap.wrap(f"so: {change.cause}", WIDTH, subsequent_indent="  ")
        lines += [f"  {line}" for line in change.fix.splitlines()]
        if change.override:
            lines.append(f"  as a setting: {change.override}")
        return lines

    def _mended(self) -> list[str]:
        """Of a batch that is fitted all the same: the change that takes away what a rule proves."""
        if self.cure is None:
            return textwrap.wrap("the batch is fitted all the same; see the finding for what to change", WIDTH)
        change = self.cure.change
        lines = textwrap.wrap(f"the batch is fitted all the same, and as well with: {change.name}", WIDTH)
        lines += [f"  {line}" for line in change.fix.splitlines()]
        return [*lines, *([f"  as a setting: {change.override}"] if change.override else [])]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        cure = None
        if self.cure is not None:
            change, effect = self.cure.change, self.cure.effect
            cure = {
                "change": change.name,
                "cause": change.cause,
                "fix": change.fix,
                "override": change.override,
                "effect": None if effect is None else {"value": effect.value, "low": effect.low, "high": effect.high},
            }
        return {
            "overfit": self.overfit.to_dict(),
            "findings": [finding.to_dict() for finding in self.findings],
            "cure": cure,
            "trials": [
                {
                    "change": trial.change.name,
                    "size": trial.change.size,
                    "symptom": None if trial.verdict is None else trial.verdict.symptom,
                    "cures": trial.cures,
                    "fitted": trial.share,
                    "problem": trial.problem,
                }
                for trial in self.trials
            ],
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
        }

    def _repr_html_(self) -> str:
        from mlkit.debug.overfit.page import cause_fragment

        return cause_fragment(self)


def sureness(finding: Finding) -> str:
    """How a finding of the rules is told.

    >>> sureness(Finding("loss.wrong-sign", "the loss has the wrong sign"))
    'proven'
    """
    return "proven" if finding.severity == "error" else "likely"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{share:4.0%}"


def _signed(effect: Estimate) -> str:
    low, high = effect.low, effect.high
    interval = "" if low is None or high is None else f", 95 % interval {max(low, -1):+.0%} to {min(high, 1):+.0%}"
    return f"{effect.value:+.0%}{interval}"
