"""`data.class-order`: a renaming that lifts agreement, not a hard task."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.class_order import check


def _found(agreement: float, renamed: float, control: float, moved: int) -> int:
    labels = {"agreement": agreement, "renamed": renamed, "control": control, "moved": ["2→10"], "moved_count": moved}
    return len(list(check(Facts(probes={"eval/data-splits": {"labels": labels}}))))


def test_classes_with_other_numbers() -> None:
    assert _found(0.18, 1.0, 1.0, 10) == 1


def test_hard_tasks_and_right_orders() -> None:
    assert _found(0.25, 0.32, 1.0, 2) == 0
    assert _found(0.25, 0.3, 0.28, 3) == 0
    assert _found(0.98, 0.98, 0.98, 0) == 0
