"""`data.normalised-twice`: the same constants twice, or byte levels far too close."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.normalised_twice import check


def test_the_same_constants_on_one_way_are_proof() -> None:
    twice = {"constants": [0.45, 0.45, 0.45], "first": None, "again": None}
    (finding,) = check(Facts(probes={"train/data-values": {"twice": twice, "entry": {}}}))
    assert finding.severity == "error"


def test_levels_of_a_byte_tell_how_often_it_was_scaled() -> None:
    def found(step: float, std: float) -> int:
        entry = {"lattice": step, "std": std, "zeros": 0.0, "mean": 0.0, "site": None}
        return len(list(check(Facts(probes={"train/data-values": {"entry": entry, "twice": {}}}))))

    assert found(1 / 255 / 255 / 0.19, 0.004) == 1
    assert found(1 / 255 / 0.19, 1.0) == 0
