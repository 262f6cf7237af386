"""`data.not-shuffled`: sorted labels read in order, against a mixed order."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.not_shuffled import check


def _found(alike: float, chance: float, pairs: int = 300) -> int:
    labels = {"neighbours_alike": alike, "any_two_alike": chance, "pairs": pairs}
    return len(list(check(Facts(probes={"train/data-labels": labels}))))


def test_classes_one_after_the_other() -> None:
    assert _found(0.99, 0.1) == 1
    assert _found(1.0, 0.5) == 1


def test_a_mixed_order_and_one_class_that_dominates() -> None:
    assert _found(0.12, 0.1) == 0
    assert _found(0.99, 0.98) == 0
    assert list(check(Facts())) == []
