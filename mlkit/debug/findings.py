"""What debugging can say: a finding with its code, place, evidence and cure, and the report that holds them.

Not here: the rules that make findings, and how a report is shown (`mlkit.debug.present`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mlkit.debug.sites import Site

if TYPE_CHECKING:
    from mlkit.debug.questions import Curve

Severity = Literal["error", "warning", "info"]
ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
Evidence = dict[str, float | int | str | bool | list[float] | list[int] | list[str] | None]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing.

    Args:
        code: its stable name, ``family.slug``.
        message: the cause in one sentence that a person understands.
        severity: ``error`` is proven by a property that must hold, ``warning`` is likely, ``info`` is worth knowing.
        site: the line of the user's own code, where there is one.
        evidence: the numbers behind it, by name.
        mechanism: cause → what it does → what is seen.
        fix: the change that cures it, as a line or a small snippet.
        confidence: 0 to 1, how sure; orders findings of one severity.
        explains: codes of findings that follow from this one, and are folded under it.
        related: findings that were folded under this one.
    """

    code: str
    message: str
    severity: Severity = "error"
    site: Site | None = None
    evidence: Evidence = field(default_factory=dict)
    mechanism: str = ""
    fix: str = ""
    confidence: float = 0.9
    explains: tuple[str, ...] = ()
    related: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        where = f" ({self.site})" if self.site else ""
        return f"{self.severity}: {self.message} [{self.code}]{where}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "file": self.site.file if self.site else None,
            "line": self.site.line if self.site else None,
            "function": self.site.function if self.site else None,
            "source": self.site.source if self.site else None,
            "evidence": self.evidence,
            "mechanism": self.mechanism,
            "fix": self.fix,
            "confidence": round(self.confidence, 3),
            "related": [finding.to_dict() for finding in self.related],
        }


@dataclass(frozen=True)
class Report:
    """All that a watched program showed: findings, root cause first, and what was not or could not be looked at."""

    findings: tuple[Finding, ...]
    symptom: str | None = None
    steps: int = 0
    seconds: float = 0.0
    overhead: float = 0.0
    """Seconds of the observation and its experiments, within ``seconds``."""
    losses: tuple[float, ...] = ()
    """The first losses and then sparser ones, as the program computed them."""
    loss_steps: tuple[int, ...] = ()
    """The steps of ``losses``."""
    skipped: tuple[tuple[str, str], ...] = ()
    """(what, why) of checks that could not be applied."""
    notes: tuple[str, ...] = ()
    curves: tuple[Curve, ...] = ()
    """Answers to the questions that were asked (``--what-if``, ``--overfit-batch``)."""

    def worst(self) -> Severity | None:
        """The gravest severity among the findings, or None."""
        return min((finding.severity for finding in self.findings), key=ORDER.__getitem__, default=None)

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "findings": [finding.to_dict() for finding in self.findings],
            "symptom": self.symptom,
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "overhead": round(self.overhead, 3),
            "losses": list(self.losses),
            "loss_steps": list(self.loss_steps),
            "skipped": [{"check": what, "why": why} for what, why in self.skipped],
            "notes": list(self.notes),
            "curves": [curve.to_dict() for curve in self.curves],
        }

    def __str__(self) -> str:
        from mlkit.debug.present import text

        return text(self)

    def _repr_html_(self) -> str:
        from mlkit.debug.page import fragment

        return fragment(self)
