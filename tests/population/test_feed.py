"""The batches of members together are those of each alone, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from mlkit.data.splits import Batch
from mlkit.population import Member
from mlkit.population.course import WeightedBatch
from mlkit.population.feed import Feed
from tests.population.alone import split_of
from tests.population.courses import course_of


def _shift(batch: Batch, generator: torch.Generator) -> Batch:
    x = batch.inputs[0]  # type: ignore[index]
    return Batch((x + torch.rand(len(batch.targets), 1, generator=generator),), batch.targets)


ROWS = [torch.randperm(41, generator=torch.Generator().manual_seed(k))[:25] for k in range(2)]
CASES: dict[str, tuple[list[Member], bool]] = {
    "one order": ([Member(seed=k, data_seed=3) for k in range(3)], True),
    "one order, augmented": ([Member(seed=k, data_seed=3, augment=_shift) for k in range(3)], True),
    "own orders": ([Member(seed=k) for k in range(3)], False),
    "two of one order": ([Member(seed=0), Member(seed=1), Member(seed=0)], False),
    "rows": ([Member(seed=0, rows=ROWS[0]), Member(seed=0, rows=ROWS[1]), Member(seed=4, rows=ROWS[1])], False),
    "augmented": ([Member(seed=0, augment=_shift), Member(seed=0), Member(seed=5, augment=_shift)], False),
    "weights": ([Member(seed=1, weights=torch.arange(41.0)), Member(seed=1)], True),
    "weights and rows": ([Member(seed=1, rows=rows, weights=torch.arange(41.0)) for rows in ROWS], False),
}


@pytest.mark.parametrize("case", CASES)
def test_batches_are_those_of_each_member_alone(case: str) -> None:
    members, shared = CASES[case]
    course = course_of(split_of((6,), 41, seed=0))
    feed = Feed(members, course)
    alone = [list(course.training_of(member).epoch(2)) for member in members]
    together = list(feed.epoch(2))
    assert len(together) == len(feed) == len(alone[0])
    for number, fed in enumerate(together):
        assert fed.shared == shared
        for place in range(len(members)):
            batch = alone[place][number]
            assert not isinstance(fed.inputs, Mapping)
            x = fed.inputs[0] if shared else fed.inputs[0][place]
            y = fed.targets if shared else fed.targets[place]
            assert torch.equal(x, batch.inputs[0])  # type: ignore[index]
            assert torch.equal(y, batch.targets)
            assert fed.examples == len(batch.targets)
            if isinstance(batch, WeightedBatch):
                assert fed.weights is not None
                assert torch.equal(fed.weights[place], batch.weights)
            else:
                assert fed.weights is None or bool((fed.weights[place] == 1).all())
