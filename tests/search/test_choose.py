from __future__ import annotations

import pytest

import mlkit.search as search
from mlkit.errors import ConfigError
from mlkit.search.bayesian import Bayesian
from mlkit.search.choose import make_method, scorer
from mlkit.search.methods import Box, CoarseToFine
from mlkit.search.scoring import Metric

SPACE = {"lr": search.log(1e-3, 1.0)}


def test_the_number_of_rounds_is_handed_on() -> None:
    assert make_method("coarse_to_fine", SPACE, seed=1, number=3)[0] == CoarseToFine(1, 3)
    assert make_method("box", SPACE, seed=1, number=3)[0] == Box(1, 3)
    assert make_method("bayesian", SPACE, seed=1)[0] == Bayesian(1, "tpe", None)
    assert make_method("gp", SPACE, seed=1, number=3)[0] == Bayesian(1, "gp", 3)


def test_the_space_is_read_on_the_way() -> None:
    _, space = make_method("random", {"lr": "log(1e-3, 1)", "kind": "adam"}, seed=0)
    assert space == search.Space({"lr": search.log(1e-3, 1), "kind": search.fixed("adam")})


def test_a_list_by_hand_spans_its_space() -> None:
    listed = [{"lr": 0.1, "kind": "b", "epochs": 3}, {"lr": 0.001, "kind": "a", "epochs": 3}]
    _, space = make_method("manual", None, seed=0, configurations=listed)
    assert space.dimensions == {
        "lr": search.choice(0.001, 0.1),
        "kind": search.choice("b", "a"),
        "epochs": search.fixed(3),
    }
    _, mixed = make_method("manual", None, seed=0, configurations=[{"x": 1}, {"x": "auto"}, {"x": None}])
    assert mixed.dimensions["x"] == search.choice(1, "auto", None)


@pytest.mark.parametrize("given", [("manual", None), ("random", [{"lr": 0.1}])])
def test_the_method_and_the_list_belong_together(given: tuple[str, list[dict[str, float]] | None]) -> None:
    method, listed = given
    with pytest.raises(ConfigError, match="belong together"):
        make_method(method, SPACE, seed=0, configurations=listed)  # type: ignore[arg-type]


def test_an_unknown_name_is_answered_with_all_and_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        make_method("bayesain", SPACE, seed=0)  # type: ignore[arg-type]
    for part in ("'bayesain'", "coarse_to_fine, random, halton, grid, manual, box, bayesian, gp", "bayesian"):
        assert part in str(caught.value)


def test_scores_by_name() -> None:
    assert scorer("loss", None) == Metric("loss", "min")
    assert scorer("val/accuracy", None) == Metric("val/accuracy", "max")
    assert scorer("latency", "min") == Metric("latency", "min")
    assert scorer("loss", "max") == Metric("loss", "max")
    assert scorer(None, "max") is None
    own = search.WeightedMean({"accuracy": 1.0})
    assert scorer(own, None) is own
    with pytest.raises(ConfigError, match="latency"):
        scorer("latency", None)
