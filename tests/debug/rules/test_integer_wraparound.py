"""`data.integer-wraparound`: proven by wide integers, or likely by what it leaves."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.integer_wraparound import check


def test_proof_is_an_error_and_traces_are_a_warning() -> None:
    found = {"is_proven": True, "op": "subtract", "share": 0.3, "dtype": "uint8", "site": None}
    assert [one.severity for one in check(Facts(probes={"train/data-wraparound": found}))] == ["error"]
    likely = {**found, "is_proven": False}
    assert [one.severity for one in check(Facts(probes={"train/data-wraparound": likely}))] == ["warning"]
    assert list(check(Facts())) == []
