from __future__ import annotations

from mlkit.runtime.nested import dotted


def test_values_stay_as_they_are_and_an_empty_mapping_leaves_nothing() -> None:
    listed = [1, 2]
    found = dotted({"a": {"b": {"c": None}, "d": listed}, "e": {}, "f": "text"})
    assert found == {"a.b.c": None, "a.d": [1, 2], "f": "text"}
    assert found["a.d"] is listed
