"""A population that is moved on from outside ends where one that goes by itself does."""

from __future__ import annotations

import pytest
from torch import nn

from mlkit import models
from mlkit.errors import ConfigError
from mlkit.population import Member, halving, train_many
from mlkit.population.backend import BackendName
from mlkit.population.live import LivePopulation
from tests.population.alone import CLASSES, split_of

DATA, VAL = split_of((6,), 41, seed=0), split_of((6,), 20, seed=1)
MEMBERS = [Member(seed=k, lr=0.001 * 3**k) for k in range(4)]


def _mlp(member: Member) -> nn.Module:
    return models.mlp(6, CLASSES, hidden=(8,), seed=member.seed).double()


@pytest.mark.parametrize("backend", ["loop", "stacked"])
def test_it_ends_where_a_population_with_the_same_rungs_does(backend: BackendName) -> None:
    expected = train_many(
        _mlp,
        MEMBERS,
        DATA,
        val=VAL,
        max_epochs=4,
        batch_size=8,
        backend=backend,
        keep=halving((2,), eta=2),
        device="cpu",
    )
    live = LivePopulation(_mlp, MEMBERS, DATA, val=VAL, max_epochs=4, batch_size=8, backend=backend, device="cpu")
    live.advance(2)
    assert live.epochs_done == 8
    live.stop([each.index for each in expected if each.status == "stopped"])
    assert live.active == expected.rungs[0]["kept"]
    live.advance(4)
    assert live.epochs_done == 12
    assert live.backends() == {backend: 4}
    for each in expected:
        history = [entry for entry in each.history if "final" not in entry]
        assert live.record(each.index).history == history


def test_it_goes_no_further_than_a_whole_run() -> None:
    live = LivePopulation(_mlp, MEMBERS, DATA, val=VAL, max_epochs=2, device="cpu")
    with pytest.raises(ConfigError, match="further than a whole run"):
        live.advance(3)
