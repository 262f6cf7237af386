"""`data.unscaled-input`: raw pixels are told, what a normalisation takes is not."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.unscaled_input import check

ENTRY = {
    "op": "conv2d",
    "site": None,
    "is_real": True,
    "is_normalised": False,
    "is_normalised_after": False,
    "shape": (64, 3, 16, 16),
    "mean": 90.0,
    "std": 40.0,
    "rms": 98.0,
    "min": 0.0,
    "max": 255.0,
    "feature_std": 40.0,
    "zeros": 0.01,
}


def _found(**changes: object) -> list[str]:
    facts = Facts(probes={"train/data-values": {"entry": {**ENTRY, **changes}}})
    return [finding.severity for finding in check(facts)]


def test_raw_pixels_are_told() -> None:
    assert _found() == ["warning"]


def test_standardised_inputs_are_not() -> None:
    assert _found(mean=0.0, std=1.0, rms=1.0, feature_std=1.0) == []


def test_a_first_layer_that_normalises_takes_any_scale() -> None:
    assert _found(is_normalised=True) == []
    assert _found(is_normalised_after=True) == ["info"]


def test_small_inputs_are_told_unless_they_are_sparse() -> None:
    small = {"mean": -2.2, "std": 0.004, "rms": 2.2, "feature_std": 0.004}
    assert _found(**small) == ["warning"]
    assert _found(**small, zeros=0.95) == []
