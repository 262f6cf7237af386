"""Weights against class counts: another order is found, weights that fit or are chosen by hand are quiet.

Not here: where weights and counts come from.
"""

from __future__ import annotations

import pytest

from mlkit.debug.facts import Facts
from mlkit.debug.rules.class_weight_order import check


def facts_of(weights: list[float], counts: list[int], kind: str = "classes") -> Facts:
    facts = Facts()
    facts.probes["train/loss"] = {"weights": {"weights": weights, "kind": kind, "site": None, "counts": counts}}
    facts.probes["train/data-labels"] = {"counts": counts}
    return facts


@pytest.mark.parametrize(
    ("weights", "kind", "counts", "found"),
    [
        ([8.3, 12.5, 0.28, 5.0], "classes", [900, 50, 30, 20], 1),
        ([0.28, 5.0, 8.3, 12.5], "classes", [900, 50, 30, 20], 0),
        ([1.0, 1.0, 2.0, 1.0], "classes", [900, 50, 30, 20], 0),
        ([1.0, 1.1], "classes", [510, 490], 0),
        ([9.0], "positive", [900, 100], 0),
        ([0.111], "positive", [900, 100], 1),
    ],
)
def test_order(weights: list[float], kind: str, counts: list[int], found: int) -> None:
    assert len(list(check(facts_of(weights, counts, kind)))) == found
