"""`data.imbalance`: a dominating class without weights that is all the model answers."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.imbalance import check


def _found(counts: list[int], *, weights: bool = False, answered: float = 1.0, hard: bool = True) -> list[str]:
    labels = {"counts": counts, "read": sum(counts), "has_weights": weights}
    decisions = {"is_hard": hard, "largest_share": answered}
    facts = Facts(probes={"train/data-labels": labels, "eval/data-decisions": decisions})
    return [finding.severity for finding in check(facts)]


def test_one_class_dominates_and_is_all_that_is_answered() -> None:
    assert _found([2715, 28, 27, 30]) == ["warning"]


def test_weights_ranks_and_rare_classes_that_are_found() -> None:
    assert _found([2715, 28, 27, 30], weights=True) == []
    assert _found([2715, 28, 27, 30], hard=False) == ["info"]
    assert _found([2715, 28, 27, 30], answered=0.96) == ["info"]
    assert _found([800, 200]) == []
