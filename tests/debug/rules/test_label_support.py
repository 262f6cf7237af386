"""`data.label-support`: counts of the labels against the outputs."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.label_support import check


def _found(counts: list[int], **changes: object) -> list[str]:
    known = {"counts": counts, "classes": len(counts), "read": sum(counts), "ignored": -100, "is_batch": False}
    labels = {**known, **changes}
    return [finding.severity for finding in check(Facts(probes={"train/data-labels": labels}))]


def test_one_class_for_all_is_an_error() -> None:
    assert _found([1347, 0, 0, 0, 0, 0, 0, 0, 0, 0]) == ["error"]


def test_labels_from_one_leave_the_first_output_unused() -> None:
    assert _found([0, 43, 50, 40]) == ["warning"]
    assert _found([0, 43, 50, 40], ignored=0) == []


def test_used_classes_and_few_examples_say_nothing() -> None:
    assert _found([43, 50, 40]) == []
    assert _found([0, 3, 2, 4]) == []


def test_a_head_with_more_outputs_than_classes_is_no_warning() -> None:
    assert "warning" not in _found([100] * 20 + [0] * 80)


def test_a_class_of_validation_alone_is_told() -> None:
    labels = {"counts": [50, 50, 0], "classes": 3, "read": 100, "ignored": -100, "is_batch": False}
    splits = {"labels": {"val_counts": [20, 20, 20]}}
    facts = Facts(probes={"train/data-labels": labels, "eval/data-splits": splits})
    assert [finding.severity for finding in check(facts)] == ["warning"]
