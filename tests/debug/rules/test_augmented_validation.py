"""`data.augmented-validation`: items that differ with their label unchanged."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.augmented_validation import check


def _found(labels: int = 0, *, has_classes: bool = True, training: int = 6, inputs: int = 6) -> list[str]:
    varies = {"inputs": inputs, "labels": labels, "read": 6, "is_real": True}
    probes: dict[str, dict[str, object]] = {
        "eval/data-reading-eval": {"varies": varies, "training_varies": {"inputs": training}},
    }
    if has_classes:
        probes["train/data-labels"] = {"classes": 5}
    return [finding.severity for finding in check(Facts(probes={**probes}))]


def test_an_item_that_differs_from_reading_to_reading() -> None:
    assert _found() == ["warning"]


def test_random_pairs_noise_as_the_task_and_fixed_items_are_fine() -> None:
    assert _found(labels=3) == []
    assert _found(has_classes=False) == ["info"]
    assert _found(inputs=0) == []
