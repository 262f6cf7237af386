"""From facts to a report: all rules, what follows from what, the root cause first.

Not here: the rules, and the display.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mlkit.debug.facts import Facts
from mlkit.debug.findings import ORDER, Finding, Report
from mlkit.debug.rules import load
from mlkit.debug.symptom import symptom_of

# What spoils a score, or costs a little, while the model still learns what it was meant to learn.
MILD = (
    *("mode", "metric", "data.augmented-validation", "data.augmentation-lost", "data.split-overlap"),
    *("data.scaler-leak", "data.repeated-randomness", "data.class-order", "data.split-preprocessing", "data.imbalance"),
    *("step.checkpoint-aliased", "step.optimiser-recreated", "step.tied-weights-apart", "step.clipping-ineffective"),
    *("step.freeze-ineffective", "model.padding-dependence", "model.state-leak", "model.unused-module"),
)
SURE = 0.85
"""Confidence from which a warning may stand before an error of a milder kind."""

_IGNORE = re.compile(r"#\s*mlkit:\s*ignore(?:\[([\w.,\s*-]*)\])?")


def findings(facts: Facts, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> list[Finding]:
    """All findings, consequences folded under their causes, root cause first.

    Args:
        facts: what was observed.
        select: codes or families to keep (all, if empty).
        ignore: codes or families to leave out.
    """
    found: list[Finding] = []
    for rule in load():
        try:
            found += rule.check(facts)
        except Exception as error:  # a rule that fails is our mistake, not the program's: say so, go on
            facts.skipped.append((", ".join(rule.codes), f"internal error: {type(error).__name__}: {error}"))
    kept = [
        one
        for one in _unique(found)
        if (not select or matches(one.code, select)) and not matches(one.code, ignore) and not _is_silenced(one)
    ]
    return fold(kept)


def matches(code: str, names: Iterable[str]) -> bool:
    """Whether a code is one of ``names``: whole codes, or families (``data`` or ``data.*``).

    >>> matches("data.not-shuffled", ["data"]), matches("data.not-shuffled", ["loss.*", "step"])
    (True, False)
    """
    return any(code == name or code.startswith(name.removesuffix("*").removesuffix(".") + ".") for name in names)


def _unique(found: Iterable[Finding]) -> list[Finding]:
    best: dict[tuple[str, object], Finding] = {}
    for one in found:
        key = (one.code, one.site)
        if key not in best or _rank(one) < _rank(best[key]):
            best[key] = one
    return list(best.values())


def _rank(one: Finding) -> tuple[int, float]:
    return ORDER[one.severity], -one.confidence


def _is_silenced(one: Finding) -> bool:
    match = _IGNORE.search(one.site.source) if one.site else None
    return bool(match) and (match[1] is None or matches(one.code, [name.strip() for name in match[1].split(",")]))  # type: ignore[index]


def fold(found: Sequence[Finding]) -> list[Finding]:
    """Put what follows from a cause under it; the rest in order, gravest and surest first."""
    ordered = sorted(found, key=_rank)
    folded: dict[int, int] = {}  # index of a consequence -> index of its cause
    for cause, one in enumerate(ordered):
        for effect, other in enumerate(ordered):
            if effect == cause or effect in folded or _reaches(cause, effect, folded):
                continue
            if one.severity != "info" and matches(other.code, one.explains):
                folded[effect] = cause
    roots = [index for index in range(len(ordered)) if index not in folded]
    result = []
    for index in roots:
        under = tuple(
            ordered[effect] for effect in range(len(ordered)) if _root(effect, folded) == index and effect != index
        )
        gravest = min((ordered[index], *under), key=_rank).severity
        result.append(replace(ordered[index], related=under, severity=gravest))
    return sorted(result, key=_gravity)


def _gravity(one: Finding) -> tuple[bool, bool, tuple[int, float]]:
    """What to mend first: the cause that keeps the model from learning, before what only spoils a score."""
    is_mild = matches(one.code, MILD) or (one.severity == "warning" and one.confidence < SURE)
    return one.severity == "info", is_mild, _rank(one)


def _root(index: int, folded: dict[int, int]) -> int:
    while index in folded:
        index = folded[index]
    return index


def _reaches(cause: int, effect: int, folded: dict[int, int]) -> bool:
    return _root(cause, folded) == effect


def report(
    facts: Facts,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    seconds: float = 0.0,
    overhead: float = 0.0,
) -> Report:
    """Judge what was observed."""
    found = findings(facts, select=select, ignore=ignore)
    losses = list(facts.losses)
    shown = losses[:100] + losses[100 :: max(1, len(losses) // 100)]
    return Report(
        findings=tuple(found),
        symptom=symptom_of(facts),
        steps=facts.total_steps,
        seconds=seconds,
        overhead=overhead,
        losses=tuple(value for _, value in shown),
        loss_steps=tuple(step for step, _ in shown),
        skipped=tuple(dict.fromkeys(facts.skipped)),
        notes=tuple(facts.notes),
    )
