"""C20: how often the intervals of a decomposition hold the truth, on least squares (C3) and histograms (C10)."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.evaluate.terms import Term
from mlkit.evaluate.uncertainty import Part, ends_of, moment_of, rows_part, rows_to_resolve, spread
from tests.evaluate.worlds import histogram, least_squares, linear_data, smoothed_terms, variance_of_ols


def _count(held: dict[str, list[bool]], term: Term, truth: float) -> None:
    assert term.low is not None
    assert term.high is not None
    held[term.name].append(term.low <= truth <= term.high)


def _assert_covered(held: dict[str, list[bool]], times: int) -> None:
    shares = {name: float(np.mean(values)) for name, values in held.items()}
    assert all(len(values) == times for values in held.values())
    # 90 to 99 %; the upper end is a standard error of 200 repetitions higher.
    assert all(0.90 <= share <= 0.995 for share in shares.values()), shares


def test_c20_least_squares() -> None:
    """Halves of 100 rows: variance at 50 rows; of 100 rows the loss of full data."""
    n, p, times = 100, 10, 200
    truth = {"bias² + noise": 1.0, "variance": variance_of_ols(n // 2, p)}
    truth["expected loss"] = 1 + truth["variance"]
    truth["last doubling of data"] = truth["variance"] - variance_of_ols(n, p)
    rng, held = np.random.default_rng(20), defaultdict(list)
    for number in range(times):
        data, test = linear_data(rng, n, p), linear_data(rng, 400, p)
        found = ev.decompose(least_squares, data, test=test, loss="squared", size=(4, 1), full=True, seed=number)
        for name, value in truth.items():
            _count(held, found.total if name == "expected loss" else found.term(name), value)
    _assert_covered(held, times)


def test_c20_smoothed_histograms() -> None:
    cells, half, eta, times = 60, 5, 0.7, 200
    exact = smoothed_terms(eta, half)
    rng, held = np.random.default_rng(21), defaultdict(list)
    soft = np.tile([1 - eta, eta], (cells, 1))
    cell = np.repeat(np.arange(cells), 2 * half)
    for number in range(times):
        y = (rng.random(len(cell)) < eta).astype(int)
        found = ev.decompose(
            histogram(cells),
            (cell[:, None], y),
            test=(np.arange(cells)[:, None], np.ones(cells, dtype=int)),
            outputs="probabilities",
            soft_labels=soft,
            strata=cell,
            size=(4, 1),
            seed=number,
        )
        for name in ("bias", "variance"):
            _count(held, found.term(name), exact[name])
        _count(held, found.total, exact["total"])
    _assert_covered(held, times)


def test_c5_halves_of_a_data_set() -> None:
    rng = np.random.default_rng(5)
    rest, variance = [], []
    for number in range(120):
        data, test = linear_data(rng, 50, 10), linear_data(rng, 400, 10)
        found = ev.decompose(least_squares, data, test=test, loss="squared", size=(4, 1), seed=number)
        rest.append(found.term("bias² + noise").value)
        variance.append(found.term("variance").value)
    for values, truth in ((variance, variance_of_ols(25, 10)), (rest, 1.0)):
        assert abs(np.mean(values) - truth) < 4 * np.std(values, ddof=1) / np.sqrt(len(values))


def test_independent_normal_models_are_covered() -> None:
    rng, times = np.random.default_rng(22), 300
    held: dict[str, list[bool]] = defaultdict(list)
    for _ in range(times):
        table = 0.5 + rng.normal(size=(8, 60))
        found = ev.decompose_predictions(table, np.zeros(60), loss="squared", noise=0.0)
        for name, truth in (("variance", 1.0), ("bias²", 0.25)):
            _count(held, found.term(name), truth)
        _count(held, found.total, 1.25)
    _assert_covered(held, times)


def test_the_moment_is_unbiased_for_normal_moves() -> None:
    """``4 tr(C²) / m²`` with C the covariance of half a move; here the moves have variance 2 in each of m places."""
    rng = np.random.default_rng(1)
    m, values = 40, []
    for _ in range(300):
        found = moment_of(np.sqrt(2) * rng.normal(size=(4, m)), m)
        assert found is not None
        values.append(found.square)
    assert np.mean(values) == pytest.approx(4 / m, rel=0.06)
    assert moment_of(np.ones((1, m)), m) is None


def test_the_part_of_rows_leaves_out_what_units_add() -> None:
    rng = np.random.default_rng(2)
    values = []
    for _ in range(300):
        table = rng.normal(size=(1, 50)) + 3 * rng.normal(size=(4, 50))
        found = rows_part(table)
        assert found is not None
        values.append(found.variance)
    assert np.mean(values) == pytest.approx(1 / 50, rel=0.15)
    assert rows_part(np.ones((4, 1))) is None


def test_the_spread_of_one_part_has_its_degrees() -> None:
    assert spread([Part(0.3, 7)]) == (0.3, pytest.approx(7))
    assert spread([Part(0.3, 7), Part(0.3, 7)]) == (0.6, pytest.approx(14))


def test_scales() -> None:
    parts = [Part(0.01, 1000)]
    low, high = ends_of(0.5, parts, scale="logarithmic") or (0, 0)
    assert low * high == pytest.approx(0.25)
    assert ends_of(0.1, parts, scale="either") == ends_of(0.1, parts)
    assert ends_of(0.5, parts, scale="either") == (low, high)
    assert ends_of(0.5, [Part(0.0, 3)]) is None


def test_rows_to_resolve_do() -> None:
    parts = [Part(0.04, 99, shrinks_with_rows=True), Part(0.001, 9)]
    rows = rows_to_resolve(0.2, parts, 100)
    assert rows is not None
    shrunk = [Part(0.04 * 100 / rows, rows - 1, shrinks_with_rows=True), Part(0.001, 9)]
    low, _ = ends_of(0.2, shrunk) or (0, 0)
    assert low == pytest.approx(0, abs=0.02)
    assert rows_to_resolve(0.01, [Part(0.04, 99, shrinks_with_rows=True), Part(1.0, 9)], 100) is None
