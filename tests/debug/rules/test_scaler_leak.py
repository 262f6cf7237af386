"""`data.scaler-leak`: told when the union alone is standardised."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.scaler_leak import check


def test_the_union_is_standardised_and_training_is_not() -> None:
    scaler = {"kind": "standard", "off_union": 1e-7, "off_train": 0.05, "rows": 900, "train_rows": 700, "site": None}
    (finding,) = check(Facts(probes={"eval/data-splits": {"scaler": scaler}}))
    assert finding.severity == "warning"


def test_nothing_measured_is_nothing_told() -> None:
    assert list(check(Facts(probes={"eval/data-splits": {"scaler": {}}}))) == []


def test_a_scaler_fitted_on_the_rows_of_both_is_less_sure() -> None:
    scaler = {"kind": "fit", "scaler": "StandardScaler", "rows": 3000, "train_rows": 2376, "site": None}
    (finding,) = check(Facts(probes={"eval/data-splits": {"scaler": scaler}}))
    assert finding.confidence < 0.9
