"""`data.mutated-in-place`: stored data that reading changes."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.mutated_in_place import check


def test_stored_data_that_reading_changes() -> None:
    reading = {"mutated": {"changed": 1, "held": 2, "site": None}, "workers": 0}
    assert [one.severity for one in check(Facts(probes={"train/data-reading": reading}))] == ["error"]
    away = {**reading, "workers": 4}  # the damage is done in workers' copies
    assert [one.severity for one in check(Facts(probes={"train/data-reading": away}))] == ["warning"]


def test_a_batch_that_is_a_view_of_the_set() -> None:
    written = {"op": "add_", "site": None, "rows": 32, "of": 800}
    assert [one.severity for one in check(Facts(probes={"train/data-written": written}))] == ["error"]
    assert list(check(Facts(probes={"train/data-reading": {"mutated": {}}}))) == []
