"""`data.augmentation-lost`: a transform that was taken away, or is never applied."""

from __future__ import annotations

from mlkit.debug.facts import Facts
from mlkit.debug.rules.augmentation_lost import check

FIXED = {"inputs": 0, "labels": 0, "read": 6}


def test_a_transform_replaced_on_the_shared_data_set() -> None:
    lost = {"attribute": "transform", "owner": "Marks", "before": "random_view", "after": "None", "site": None}
    (finding,) = check(Facts(probes={"train/data-reading": {"lost": lost, "varies": FIXED}}))
    assert finding.confidence == 0.95


def test_a_random_transform_that_never_varies() -> None:
    reading = {"lost": {}, "varies": FIXED, "is_configured": "RandomCrop"}
    assert len(list(check(Facts(probes={"train/data-reading": reading})))) == 1


def test_data_that_vary_or_never_should() -> None:
    varies = {**FIXED, "inputs": 6}
    assert list(check(Facts(probes={"train/data-reading": {"varies": varies, "is_configured": "RandomCrop"}}))) == []
    assert list(check(Facts(probes={"train/data-reading": {"varies": FIXED, "is_configured": None}}))) == []
