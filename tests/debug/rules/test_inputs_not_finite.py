"""`data.non-finite`: NaN among the examples, unless the program looks for it."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.inputs_not_finite import check


def _found(**values: object) -> list[str]:
    return [finding.severity for finding in check(Facts(probes={"train/data-values": values}))]


def test_nan_in_inputs_or_targets_is_an_error() -> None:
    assert _found(bad_rows=132, rows=1200, first_bad=0, bad_columns=[0, 3]) == ["error"]
    assert _found(bad_labels=1, rows=600, first_bad_label=5) == ["error"]


def test_a_program_that_looks_for_nan_is_told_as_information() -> None:
    assert _found(bad_rows=132, rows=1200, handles_nan=True) == ["info"]


def test_finite_examples() -> None:
    assert _found(size=100) == []
