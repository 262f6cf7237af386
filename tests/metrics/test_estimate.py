from __future__ import annotations

import dataclasses
import json

import pytest

from mlkit.metrics.estimate import Estimate


def test_a_number_is_shown_with_its_interval() -> None:
    assert str(Estimate(0.912345, 0.9, 0.92, 100, "wilson")) == "0.9123 [0.9, 0.92]"


def test_a_number_without_an_interval_is_shown_alone() -> None:
    assert str(Estimate(0.5)) == "0.5"
    assert str(Estimate(0.5, low=0.4)) == "0.5"


def test_it_survives_json() -> None:
    estimate = Estimate(0.5, 0.4, 0.6, 10, "wilson")
    assert Estimate(**json.loads(json.dumps(estimate.to_dict()))) == estimate


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate(0.5).value = 1.0  # type: ignore[misc]
