from __future__ import annotations

import torch

from mlkit.data.pipeline import finish
from mlkit.data.source import Source
from mlkit.task import Task


def test_the_least_that_can_be_given_is_enough_for_a_bundle_that_leaves_the_values_alone() -> None:
    x, y = torch.randn(20, 2), torch.arange(20) % 2
    bundle = finish(Source("toy", Task("classification", "vector", (2,), 2), (x,), y))
    seen = torch.cat([split.gather(torch.arange(len(split))).inputs[0] for _, split in bundle.splits()])
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, x.tolist()))


def test_content_and_parts_are_not_changed_by_the_pipeline() -> None:
    x, y = torch.randn(20, 2), torch.rand(20)
    source = Source("toy", Task("regression", "vector", (2,), 1), (x,), y, standardize="feature", notes={"a": "b"})
    before = (x.clone(), y.clone())
    finish(source, limit=8)
    assert torch.equal(source.inputs[0], before[0])
    assert torch.equal(source.targets, before[1])
    assert source.notes == {"a": "b"}
