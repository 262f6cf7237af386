from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import mlkit.evaluate as ev
from mlkit.errors import DataError
from mlkit.evaluate.ladder import BIAS, BOTH, GAP, IRREDUCIBLE, OVERFITTING, SHIFT
from tests.evaluate.worlds import assert_close, linear_data

RATES = {"train": (30, 1000), "val": (90, 1000), "target_val": (150, 800), "test": (170, 900)}


def _loss(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.gamma(2.0, 0.3, rows)


@pytest.mark.parametrize("absent", [(), ("target_val",), ("test",), ("target_val", "test")], ids=str)
@pytest.mark.parametrize("human", [None, 0.01, (12, 500)], ids=str)
@pytest.mark.parametrize("losses", [False, True])
def test_the_steps_sum_to_the_last_error(absent: tuple[str, ...], human: Any, losses: bool) -> None:
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {name: (_loss(rng, 50 + k) if losses else RATES[name]) for k, name in enumerate(RATES)}
    kept = {name: value for name, value in given.items() if name not in absent}
    if losses and isinstance(human, tuple):
        human = _loss(rng, 40)
    ladder = ev.error_ladder(**kept, human=human)
    last = kept[list(kept)[-1]]
    error = float(np.mean(last)) if losses else last[0] / last[1]
    assert ladder.total.value == pytest.approx(error, abs=1e-15)
    assert math.fsum(term.value for term in ladder.terms) == pytest.approx(error, abs=1e-15)
    names = [term.name for term in ladder.terms]
    assert names[: 1 if human is None else 2] == ([BOTH] if human is None else [IRREDUCIBLE, BIAS])
    assert (SHIFT in names) == ("target_val" not in absent)
    assert (OVERFITTING in names) == ("test" not in absent)


def test_every_step_is_the_difference_that_its_name_says() -> None:
    ladder = ev.error_ladder(**RATES, human=(10, 400))
    expected = {
        IRREDUCIBLE: 0.025,
        BIAS: 0.03 - 0.025,
        GAP: 0.06,
        SHIFT: 150 / 800 - 0.09,
        OVERFITTING: 17 / 90 - 0.1875,
    }
    for name, value in expected.items():
        assert ladder.term(name).value == pytest.approx(value, abs=1e-12)


def test_without_a_second_validation_set_it_says_what_cannot_be_told() -> None:
    told = str(ev.error_ladder(train=(3, 100), val=(9, 100), test=(10, 100)))
    assert "no target_val: a shift between val and test" in told
    assert "no human error was given" in told
    assert "no test split" in str(ev.error_ladder(train=(3, 100), val=(9, 100)))


def test_a_human_error_without_rows_is_exact_and_with_rows_is_not() -> None:
    exact = ev.error_ladder(train=(60, 1000), val=(90, 1000), human=0.02)
    counted = ev.error_ladder(train=(60, 1000), val=(90, 1000), human=(2, 100))
    assert exact.term(BIAS).value == pytest.approx(counted.term(BIAS).value)
    assert exact.term(IRREDUCIBLE).low is None
    assert counted.term(IRREDUCIBLE).low is not None
    widths = [(one.term(BIAS).high or 0) - (one.term(BIAS).low or 0) for one in (exact, counted)]
    assert widths[0] < widths[1]
    assert "taken as exact" in str(exact)
    assert "taken as exact" not in str(counted)


def test_the_same_rows_are_compared_within_rows() -> None:
    rng = np.random.default_rng(2)
    human = rng.random(400) < 0.1
    model = human | (rng.random(400) < 0.04)  # wrong where people are, and a little beyond
    apart = ev.error_ladder(train=model, val=(60, 400), human=human)
    paired = ev.error_ladder(train=model, val=(60, 400), human=human, human_on_train=True)
    assert paired.term(BIAS).value == pytest.approx(apart.term(BIAS).value)
    assert paired.term(BIAS).resolved
    assert not apart.term(BIAS).resolved


def test_the_rows_that_are_asked_for_do_resolve_it() -> None:
    few = ev.error_ladder(train=(10, 100), val=(13, 100), human=0.0).term(GAP)
    assert not few.resolved
    needed = few.rows_to_resolve
    assert needed is not None
    # 2 z² p (1 - p) / delta², with each rate's own p (1 - p) and n - 1
    assert needed == pytest.approx(1.96**2 * (0.1 * 0.9 + 0.13 * 0.87) / 0.03**2 * 100 / 99, rel=1e-3)

    def again(rows: int) -> bool:
        counts = {"train": (round(0.1 * rows), rows), "val": (round(0.13 * rows), rows)}
        return ev.error_ladder(**counts, human=0.0).term(GAP).resolved

    assert again(math.ceil(needed * 1.05))
    assert not again(math.floor(needed * 0.9))


def test_no_number_of_rows_resolves_a_difference_of_0() -> None:
    term = ev.error_ladder(train=(10, 100), val=(10, 100)).term(GAP)
    assert (term.resolved, term.rows_to_resolve) == (False, None)


def test_the_verdict_is_of_what_can_be_changed() -> None:
    ladder = ev.error_ladder(train=(310, 1000), val=(400, 1000), human=0.3)
    assert ladder.verdict().startswith(f"{GAP} dominates")
    vague = ev.error_ladder(train=(2, 20), val=(3, 20), human=0.08)
    assert vague.verdict().startswith("no term of the error rate is resolved; ")


def test_c4_least_squares_with_intercept() -> None:
    n, p, s2 = 50, 10, 1.0
    rng = np.random.default_rng(4)
    found: dict[str, list[float]] = {BOTH: [], GAP: [], "test": []}
    for _ in range(400):
        (x, y), (xv, yv), (xt, yt) = (linear_data(rng, rows, p) for rows in (n, 200, 200))
        design = np.c_[np.ones(n), x]
        weights = np.linalg.lstsq(design, y, rcond=None)[0]

        def squares(x: np.ndarray, y: np.ndarray, weights: np.ndarray = weights) -> np.ndarray:
            return np.square(np.c_[np.ones(len(x)), x] @ weights - y)

        ladder = ev.error_ladder(train=squares(x, y), val=squares(xv, yv), test=squares(xt, yt))
        found[BOTH].append(ladder.term(BOTH).value)
        found[GAP].append(ladder.term(GAP).value)
        found["test"].append(ladder.total.value)
    train, test = s2 * (1 - (p + 1) / n), s2 * (n + 1) * (n - 2) / (n * (n - p - 2))
    assert_close(found[BOTH], train)
    assert_close(found[GAP], test - train)
    assert_close(found["test"], test)


@pytest.mark.parametrize("kind", ["rates", "losses", "against exact"])
def test_c20_intervals_of_a_step_cover_it(kind: str) -> None:
    rng = np.random.default_rng(20)
    times, covered = 2000, 0
    for _ in range(times):
        if kind == "losses":
            term = ev.error_ladder(train=rng.exponential(0.5, 80), val=rng.exponential(0.8, 60)).term(GAP)
            truth = 0.3
        elif kind == "rates":
            counts = {"train": (int(rng.binomial(600, 0.05)), 600), "val": (int(rng.binomial(300, 0.1)), 300)}
            term, truth = ev.error_ladder(**counts).term(GAP), 0.05
        else:
            train = (int(rng.binomial(300, 0.1)), 300)
            term, truth = ev.error_ladder(train=train, val=(1, 2), human=0.02).term(BIAS), 0.08
        assert term.low is not None
        assert term.high is not None
        covered += term.low <= truth <= term.high
    assert 0.93 <= covered / times <= 0.97


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": [[0, 1]], "val": [0, 1]}, "the errors of train are not one number a row"),
        ({"train": [], "val": [0, 1]}, "the errors of train are not one number a row"),
        ({"train": [0.0, math.nan], "val": [0, 1]}, "an error of train is not finite"),
        ({"train": (5, 3), "val": [0, 1]}, "the counts of train cannot be"),
        ({"train": (0, 0), "val": [0, 1]}, "the counts of train cannot be"),
        ({"train": (3, 10), "val": [0.2, 0.7]}, "some splits have errors and others losses"),
        ({"train": (3, 10), "val": (4, 10), "human": -0.1}, "the error of human cannot be"),
        ({"train": (3, 10), "val": (4, 10), "human": 2.0}, "the human error is not a rate"),
        ({"train": (3, 10), "val": (4, 10), "human": 0.1, "human_on_train": True}, "cannot be compared row by row"),
        ({"train": [0, 1, 1], "val": [0, 1], "human": [0, 1], "human_on_train": True}, "cannot be compared row by row"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ev.error_ladder(**{name: np.array(v) if isinstance(v, list) else v for name, v in given.items()})


def test_no_such_step() -> None:
    with pytest.raises(DataError, match="no such term"):
        ev.error_ladder(train=(3, 10), val=(4, 10)).term("variance")


def test_tensors_arrays_and_counts_come_to_the_same() -> None:
    errors = [0, 1, 0, 0, 1, 0, 0, 0]
    forms: list[Any] = [torch.tensor(errors), torch.tensor(errors).bool(), np.array(errors), (2, 8)]
    ladders = [ev.error_ladder(train=one, val=two, human=0.1) for one, two in itertools.product(forms, forms)]
    assert len({str(ladder) for ladder in ladders}) == 1


def test_it_fits_the_terminal_and_has_plain_values() -> None:
    ladder = ev.error_ladder(**RATES, human=(10, 400))
    assert max(map(len, str(ladder).splitlines())) <= 80
    told = ladder.to_dict()
    assert sum(term["value"] for term in told["terms"]) == pytest.approx(told["total"]["value"], abs=1e-15)
    assert told["counts"] == {"human": 400, "train": 1000, "val": 1000, "target_val": 800, "test": 900}
    page = ladder._repr_html_()
    assert "<svg" in page
    assert GAP in page
