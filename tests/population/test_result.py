from __future__ import annotations

import json
import math

import pytest
from torch import nn

from mlkit.errors import ConfigError
from mlkit.metrics.estimate import Estimate
from mlkit.population import Member, MemberResult, PopulationResult
from mlkit.population.record import MemberStatus


def _result(values: list[float], statuses: list[MemberStatus], members: list[Member]) -> PopulationResult:
    made = tuple(
        MemberResult(
            k, member, nn.Identity(), {"val": {"loss": Estimate(value)}}, [], status, None, 3, 30, 300, 0.1, "loop"
        )
        for k, (value, status, member) in enumerate(zip(values, statuses, members, strict=True))
    )
    return PopulationResult(made, [], [], 1.0)


MEMBERS = [Member(lr=lr, name=f"run {lr}") for lr in (0.1, 0.01, 0.001, 1.0)]
RESULT = _result([0.3, 0.2, 0.1, math.nan], ["completed", "completed", "stopped", "diverged"], MEMBERS)


def test_the_best_is_among_those_that_completed() -> None:
    assert RESULT.best().index == 1
    with pytest.raises(ConfigError, match="no completed member has val/accuracy"):
        RESULT.best("val/accuracy")


def test_the_table_has_the_best_first_and_what_differs() -> None:
    lines = str(RESULT).splitlines()
    assert lines[0] == "4 members in 1.0 s: 2 completed, 1 stopped, 1 diverged"
    assert lines[1].split() == ["member", "name", "lr", "epochs", "val/loss", "status"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "0", "2", "3"]


def test_the_table_fits_80_columns_whatever_differs() -> None:
    members = [
        Member(
            seed=k,
            lr=0.123456 * (k + 1),
            weight_decay=1e-5 * (k + 1),
            betas=(0.9, 0.99 + k / 1000),
            eps=1e-8 * (k + 1),
            schedule="cosine" if k else "one_cycle",
            clip_norm=k + 1.0,
            dropout=0.1 * k,
            label_smoothing=0.01 * k,
            name="a rather long name of a member",
        )
        for k in range(3)
    ]
    result = _result([0.1, 0.2, 0.3], ["completed"] * 3, members)
    assert max(len(line) for line in str(result).splitlines()) <= 80
    assert "seed" in str(result)


def test_many_members_are_cut_short() -> None:
    members = [Member(seed=k) for k in range(100)]
    text = str(_result([0.1] * 100, ["completed"] * 100, members))
    assert text.endswith("and 60 more")


def test_it_is_json_and_html() -> None:
    content = json.loads(json.dumps(RESULT.to_dict()))
    assert content["members"][1]["member"]["lr"] == 0.01
    assert "<td>run 0.01</td>" in RESULT._repr_html_()


def test_it_is_a_sequence() -> None:
    assert len(RESULT) == 4
    assert [each.index for each in RESULT] == [0, 1, 2, 3]
    assert RESULT[-1].status == "diverged"
