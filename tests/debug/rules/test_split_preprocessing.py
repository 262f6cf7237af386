"""`data.split-preprocessing`: another scale in validation is told, drift is not."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.split_preprocessing import check

TRAIN = {"mean": 0.0, "std": 1.0, "min": -3.0, "max": 3.0, "zeros": 0.0, "shape": (50, 1, 16, 16), "calls": 1}


def _found(mean: float, std: float, low: float, high: float) -> int:
    given = {"mean": mean, "std": std, "min": low, "max": high, "zeros": 0.0, "shape": (100, 1, 16, 16)}
    facts = Facts(probes={"train/data-train-batch": TRAIN, "eval/data-splits": {"given": given}})
    return len(list(check(facts)))


def test_a_normalisation_that_validation_lacks() -> None:
    assert _found(0.62, 0.075, 0.3, 0.9) == 1
    assert _found(0.5, 0.5, 0.0, 1.0) == 1


def test_a_series_that_drifts_and_augmentation_are_fine() -> None:
    assert _found(2.0, 1.1, -1.0, 5.0) == 0
    assert _found(0.0, 0.8, -2.5, 2.5) == 0
