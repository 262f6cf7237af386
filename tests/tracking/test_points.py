from __future__ import annotations

import math

from mlkit.tracking.points import flat, points


def test_values_that_are_no_numbers_make_no_curve() -> None:
    entry = {"step": 1, "epoch": 1, "split": "val", "loss": math.nan, "confusion": [[1, 2], [3, 4]], "good": True}
    assert list(points(entry)) == ["val/loss"]


def test_final_evaluations_have_curves_of_their_own() -> None:
    place = {"step": 9, "epoch": 3, "split": "val"}
    assert points({**place, "loss": 1.0}).keys().isdisjoint(points({**place, "final": True, "loss": 1.0}))


def test_settings_keep_plain_values_and_their_types() -> None:
    nested = {"a": {"b": {"c": 1, "d": True}}, "e": "text", "f": [1, 2], "g": {}}
    assert flat(nested) == {"a.b.c": 1, "a.b.d": True, "e": "text", "f": "[1, 2]"}
