"""`data.constant-feature`: a constant column is told only where validation blows it up."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.constant_feature import check


def _found(largest: float) -> int:
    probes = {
        "train/data-values": {"constant": [3], "features": 12},
        "train/data-train-batch": {"min": -3.0, "max": 3.0},
        "eval/data-splits": {"given": {"min": -3.0, "max": largest}},
    }
    return len(list(check(Facts(probes=probes))))


def test_divided_by_a_zero_deviation() -> None:
    assert _found(1e7) == 1


def test_a_useless_column_is_no_finding() -> None:
    assert _found(3.5) == 0
