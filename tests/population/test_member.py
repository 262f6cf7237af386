from __future__ import annotations

import json

import pytest
import torch

from mlkit.errors import ConfigError
from mlkit.population import Member
from mlkit.population.member import make_member_schedule


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Member(lr=-1.0, clip_norm=0.0, dropout=1.0, rows=torch.tensor([0.5]), weights=torch.tensor([-1.0, 1.0]))
    text = str(caught.value)
    for part in ("learning rate", "clip_norm", "dropout", "rows of a member", "weights of a member"):
        assert part in text


def test_making_a_member_draws_nothing() -> None:
    before = torch.get_rng_state()
    Member(optimizer="sgd", lr=0.1)
    assert torch.equal(before, torch.get_rng_state())


def test_descriptions_are_plain_and_tell_tensors_apart() -> None:
    one, other = (Member(rows=torch.tensor(rows), schedule=abs) for rows in ([0, 1], [0, 2]))
    assert json.loads(json.dumps(one.describe())) == one.describe()
    assert one.describe() != other.describe()
    assert {**one.describe(), "rows": None} == {**other.describe(), "rows": None}
    assert one.describe()["schedule"] == "abs"


def test_the_order_has_the_seed_unless_it_has_its_own() -> None:
    assert Member(seed=3).order_seed == 3
    assert Member(seed=3, data_seed=0).order_seed == 0


def test_a_constant_schedule_is_none_and_others_follow_their_settings() -> None:
    assert make_member_schedule(Member(), 10) is None
    assert make_member_schedule(Member(schedule="constant"), 10) is None
    schedule = make_member_schedule(Member(schedule="linear", warmup_steps=2, final_factor=0.5), 10)
    assert schedule is not None
    assert [schedule(step) for step in (0, 1, 2, 10)] == [0.5, 1.0, 1.0, 0.5]
