"""What overfitting one batch showed, as a person reads it and as plain values.

Not here: the training (`mlkit.debug.overfit.course`), and the page (`.page`).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from mlkit.debug.overfit.course import Course
from mlkit.debug.overfit.verdict import MEANS, Verdict
from mlkit.debug.overfit.yardstick import FITTED, Yardstick

WIDTH = 80


@dataclass(frozen=True)
class OverfitReport:
    """The verdict on one batch, with its two controls.

    Args:
        verdict: the course in one word, and why.
        course: of the batch as it is.
        zeros: of the same batch with its inputs erased.
        shuffled: of the same batch with the labels of other examples.
        stick: what the predictions were judged by; None where nothing fits, and only the loss is.
        examples: in the batch.
        fingerprint: of the batch.
        notes: what the controls say, and what was in the way.
    """

    verdict: Verdict
    course: Course
    zeros: Course
    shuffled: Course
    stick: Yardstick | None
    examples: int
    fingerprint: str
    notes: tuple[str, ...] = ()

    @property
    def symptom(self) -> str:
        """The course in one word."""
        return self.verdict.symptom

    @property
    def is_fine(self) -> bool:
        """Whether the batch is fitted, in training and in evaluation mode."""
        return self.verdict.is_fine

    @property
    def seconds(self) -> float:
        """All that the three trainings took."""
        return self.course.seconds + self.zeros.seconds + self.shuffled.seconds

    def curves(self) -> dict[str, Course]:
        """The three courses by name."""
        return {"batch": self.course, "inputs erased": self.zeros, "labels shuffled": self.shuffled}

    def __str__(self) -> str:
        lines = [f"overfit one batch: {self.symptom}", ""]
        lines += textwrap.wrap(MEANS[self.verdict.symptom], WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines += textwrap.wrap(self.verdict.because, WIDTH, initial_indent="  ", subsequent_indent="  ")
        lines.append("")
        heights = [value for course in self.curves().values() for value in course.losses if math.isfinite(value)]
        for name, course in self.curves().items():
            end = f"{course.losses[-1]:.3g}" if course.losses else "no step"
            lines.append(
                f"  {name:<16}{bars(course.losses, heights, width=36):<36} {end:>8} {self._shown(course)}".rstrip()
            )
        lines.append("")
        lines += [
            line
            for note in self.notes
            for line in textwrap.wrap(note, WIDTH, initial_indent="  · ", subsequent_indent="    ")
        ]
        lines.append(f"  {self.examples} examples ({self.fingerprint}), {self.seconds:.1f} s")
        return "\n".join(lines)

    def _shown(self, course: Course) -> str:
        if self.stick is None or math.isnan(course.last_score):
            return ""
        return f"{self.stick.measure} {course.last_score:.2f}"

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "symptom": self.symptom,
            "because": self.verdict.because,
            "height": None if self.verdict.height is None else self.verdict.height.name,
            "fitted_from": FITTED,
            "measure": None if self.stick is None else self.stick.measure,
            "constant": None if self.stick is None else self.stick.constant,
            "examples": self.examples,
            "fingerprint": self.fingerprint,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
            "courses": {name: course_dict(course) for name, course in self.curves().items()},
        }

    def _repr_html_(self) -> str:
        from mlkit.debug.overfit.page import fragment

        return fragment(self)


def bars(losses: Sequence[float], among: Sequence[float], *, width: int = 40) -> str:
    """A curve in one line, on the scale of all the values ``among``, so that several lines compare.

    >>> bars([4.0, 2.0, 1.0], [4.0, 1.0], width=3)
    '█▅▁'
    """
    if not among:
        return ""
    # The scale is logarithmic where it can be: what is left of a loss is told by its power of ten.
    low, high = min(among), max(among)
    is_log = low > 0

    def scaled(value: float) -> float:
        return math.log(max(value, high * 1e-4)) if is_log else value

    bottom, top = scaled(low), scaled(high)
    parts = [losses[int(i * len(losses) / width)] for i in range(width)] if len(losses) > width else losses
    blocks = "▁▂▃▄▅▆▇█"

    def block(value: float) -> str:
        if not math.isfinite(value):
            return "×"
        return blocks[int(7 * (scaled(value) - bottom) / (top - bottom) + 0.5)] if top > bottom else blocks[0]

    return "".join(map(block, parts))


def course_dict(course: Course) -> dict[str, object]:
    """A course as plain values for JSON."""
    return {
        "losses": list(course.losses),
        "scores": list(course.scores),
        "eval_scores": [list(pair) for pair in course.eval_scores],
        "bad_module": course.bad_module,
        "batch_changed_at": course.touched,
    }
