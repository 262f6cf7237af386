"""The course of a training on one batch in one word, and how sure that word is.

Not here: why it went so (`mlkit.debug.overfit.prove`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlkit.debug import curves
from mlkit.debug.overfit.course import Course
from mlkit.debug.overfit.heights import Height, named
from mlkit.debug.overfit.yardstick import FITTED, Yardstick
from mlkit.debug.symptom import symptom

Symptom = Literal["overfits", "train-eval-gap", "too-good", "goes-up", "explodes", "oscillates", "plateaus", "slow"]
MEANS: dict[Symptom, str] = {
    "overfits": "the batch is fitted, as it should be",
    "train-eval-gap": "the batch is fitted in training, and not as the model is used: in evaluation mode, or alone",
    "too-good": "the loss says that all is well, and it is not",
    "goes-up": "the loss is higher than at the start",
    "explodes": "the loss is no longer a number, or twenty times what it was",
    "oscillates": "the loss rises again and again on the same batch",
    "plateaus": "the loss stopped above what fitting the batch would give",
    "slow": "the loss falls, too slowly to fit the batch",
}


LOST = 0.1
"""The part of a fitted batch that may be lost where examples are predicted alone: one of sixteen may be a tie."""
# An adaptive optimiser trembles at the bottom of a loss: by less than this part of it, that is the plateau's own noise.
_JITTER = 0.05
# The losses of one batch under dropout differ by about this part of themselves while they fall as they should.
_DROPOUT = 0.2


@dataclass(frozen=True)
class Verdict:
    """The word, and what it rests on.

    Args:
        symptom: one of `Symptom`.
        because: the numbers, in a sentence.
        height: the constant at which the loss stopped, where it is a known one.
    """

    symptom: Symptom
    because: str
    height: Height | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the batch is fitted, in both modes."""
        return self.symptom == "overfits"


def name_course(course: Course, stick: Yardstick | None, among: tuple[Height, ...] = ()) -> Verdict:
    """Name the course of a training on one batch.

    Scores decide whether the batch is fitted, the loss decides what else is said. A batch whose loss stopped at a known
    constant is a plateau, also where the predictions are right already: they are, with two softmaxes in a row.

    Args:
        course: of the training.
        stick: its measure; without one, a loss that fell by 95 % counts as a fitted batch.
        among: the constants that a plateau is compared with (`heights`).
    """
    losses = course.losses
    if any(not math.isfinite(value) for value in losses):
        where = f"; first bad module: {course.bad_module}" if course.bad_module else ""
        return Verdict("explodes", f"the loss is {losses[-1]} at step {len(losses)}{where}")
    end, noise = statistics.median(losses[-5:]), curves.spread(losses)
    told = f"loss {losses[0]:.4g} → {end:.4g} in {len(losses)} steps"
    if stick is not None:
        shown = stick.measure
        told += f", {shown} {course.last_score:.3g} in training mode, {course.last_eval_score:.3g} in evaluation mode"
        told += f" (best constant answer: {stick.constant:.3g})" if stick.kind != "numbers" else ""
    trained, judged = _fitted(course, stick, losses)
    # Right predictions end at a high loss only by stopping there: a creep at a known constant is enough to tell.
    rests = is_flat(losses) or (trained and _creeps(losses))
    stopped = named(end, among, noise=noise) if rests else None
    if trained or judged:
        return _of_fitted(course, stick, told, trained=trained, judged=judged, stopped=stopped)
    word = symptom(losses, is_same_batch=True)
    if word == "oscillates" and curves.roughness(losses) < (_JITTER if is_flat(losses) else _DROPOUT):
        word = None
    bad: tuple[Symptom, ...] = ("explodes", "goes-up", "oscillates")
    for one in bad:
        if word == one:
            return Verdict(one, told)
    chance = among[0].value if among else abs(losses[0])
    gone = _gone(end, chance, stick, stopped, course.last_score)
    if gone is not None:
        return Verdict("too-good", f"{told}: the loss {gone}, and the predictions are not right")
    if is_flat(losses):
        at = f"; that is {stopped.name} ({stopped.value:.4g}): {stopped.says}" if stopped else ""
        return Verdict("plateaus", told + at, stopped)
    return Verdict("slow", told)


def is_flat(losses: Sequence[float]) -> bool:
    """Whether a curve has ended: its last half falls by no more than its noise, or is about to stop.

    About to stop is a fall whose parts shrink so fast that what is still to come, were it to go on so (a geometric
    series), is less than a twentieth of what was gained.

    >>> is_flat([1.0] * 30), is_flat([3.0 - 0.01 * step for step in range(100)])
    (True, False)
    """
    if len(losses) < 12:
        return False
    tail = losses[len(losses) // 2 :]
    part = len(tail) // 3
    early, middle, late = (statistics.median(tail[i * part : (i + 1) * part]) for i in range(3))
    gained = max(losses[0] - late, 0.0)
    # Twice the standard error of a difference of two medians, each 1.25 times as wide as of a mean.
    noise = 3.5 * curves.spread(losses) / math.sqrt(part)
    before, after = early - middle, middle - late
    if after <= max(noise, 0.002 * abs(late), 0.01 * gained):
        return True
    return before > after and after**2 / (before - after) < 0.05 * gained


def _creeps(losses: Sequence[float]) -> bool:
    """Whether the last fifth of a curve is within a twentieth of the fifth before."""
    part = len(losses) // 5
    if part < 4:
        return False
    before, after = statistics.median(losses[-2 * part : -part]), statistics.median(losses[-part:])
    return abs(before - after) <= 0.05 * abs(before)


def _gone(end: float, chance: float, stick: Yardstick | None, stopped: Height | None, score: float) -> str | None:
    """In which way a loss is lower than predictions that are wrong allow; None where it is not."""
    if stick is None or stopped is not None:
        return None
    # Of numbers a loss may be below zero, as a likelihood is, yet not where they are missed by more than their spread.
    if end < 0 and (stick.kind != "numbers" or score < -1):
        return "falls below zero"
    return "is nearly gone" if 0 <= end < 0.05 * abs(chance) else None


def _fitted(course: Course, stick: Yardstick | None, losses: Sequence[float]) -> tuple[bool, bool]:
    """Whether the batch is fitted in training mode, and in evaluation mode."""
    if stick is None:
        fell = losses[0] > 0 and curves.level(losses) < 0.05 * losses[0]
        return fell, fell
    return stick.share(course.last_score) >= FITTED, stick.share(course.last_eval_score) >= FITTED


def _of_fitted(
    course: Course, stick: Yardstick | None, told: str, *, trained: bool, judged: bool, stopped: Height | None
) -> Verdict:
    highest = max(course.losses)
    if highest > 20 * abs(course.losses[0]):
        at = course.losses.index(highest) + 1
        return Verdict("explodes", f"{told}; the loss was {highest:.3g} at step {at}, before it came down")
    if trained and not judged:
        return Verdict("train-eval-gap", told)
    if course.lost_alone > LOST:
        told += f"; predicted one at a time, {min(course.lost_alone, 1):.0%} of that is lost"
        return Verdict("train-eval-gap", f"{told}: an output depends on the other examples of its batch")
    if stopped is not None:
        told += f"; the predictions are right, and the loss stopped at {stopped.name} ({stopped.value:.4g})"
        return Verdict("plateaus", f"{told}: {stopped.says}", stopped)
    if stick is not None and course.scores and stick.share(course.scores[0]) >= FITTED:
        return Verdict("too-good", f"{told}: the batch was predicted before the first step")
    return Verdict("overfits", told)
