from __future__ import annotations

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.evaluate import squared
from tests.evaluate.worlds import assert_close, many_least_squares, variance_of_ols


def _terms(tables: list[np.ndarray], y: np.ndarray, noise: float) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for table in tables:
        result = ev.decompose_predictions(table, y, loss="squared", noise=noise)
        for term in (*result.terms, result.total):
            found.setdefault(term.name, []).append(term.value)
    return found


def test_c1_a_constant_predictor() -> None:
    rng = np.random.default_rng(1)
    n, m, s2 = 20, 4000, 0.5
    found: dict[str, list[float]] = {}
    for _ in range(30):
        x = rng.normal(size=(40, n))
        means = (x + rng.normal(size=(40, n)) * s2**0.5).mean(1)
        x_test = rng.normal(size=m)
        y_test = x_test + s2**0.5 * rng.normal(size=m)
        result = ev.decompose_predictions(np.repeat(means[:, None], m, 1), y_test, loss="squared", noise=s2)
        for name in ("bias²", "variance"):
            found.setdefault(name, []).append(result.term(name).value)
    assert_close(found["variance"], (1 + s2) / n)
    assert_close(found["bias²"], 1.0)


@pytest.mark.parametrize(("intercept", "truth"), [(False, 10 / 39), (True, variance_of_ols(50, 10))])
def test_c2_and_c3_least_squares(intercept: bool, truth: float) -> None:
    rng = np.random.default_rng(2)
    variance, bias = [], []
    for _ in range(60):
        x_test = rng.normal(size=(300, 10))
        table = many_least_squares(rng, 24, 50, x_test, intercept=intercept)
        y_test = x_test.sum(1) + rng.normal(size=300)
        result = ev.decompose_predictions(table, y_test, loss="squared", noise=1.0)
        variance.append(result.term("variance").value)
        bias.append(result.term("bias²").value)
    assert_close(variance, truth)
    assert_close(bias, 0.0)


def test_c6_an_omitted_feature() -> None:
    rng = np.random.default_rng(6)
    g, n, p = 0.7, 40, 5
    x_test, z_test = rng.normal(size=(30, p)), rng.normal(size=30)
    y = x_test.sum(1) + g * z_test
    tables = [many_least_squares(rng, 60, n, x_test, intercept=False, omitted=g) for _ in range(40)]
    found = _terms(tables, y, 0.0)
    assert_close(found["bias²"], float(np.mean(g**2 * z_test**2)))
    assert_close(found["variance"], float(np.mean((1 + g**2) * (x_test**2).sum(1) / (n - p - 1))))


def test_c6_holds_row_by_row() -> None:
    rng = np.random.default_rng(60)
    g, n, p = 0.7, 40, 5
    x_test, z_test = rng.normal(size=(4, p)), np.array([0.0, 1.0, -2.0, 3.0])
    results = [
        ev.decompose_predictions(
            many_least_squares(rng, 50, n, x_test, intercept=False, omitted=g),
            x_test.sum(1) + g * z_test,
            loss="squared",
        )
        for _ in range(60)
    ]
    for row in range(4):
        assert_close([result.bias_rows[row] for result in results], g**2 * z_test[row] ** 2)
        assert_close(
            [result.variance_rows[row] for result in results], (1 + g**2) * (x_test[row] @ x_test[row]) / (n - p - 1)
        )


def test_c7_ridge_on_a_fixed_design() -> None:
    rng = np.random.default_rng(7)
    n, p, penalty, s2 = 64, 8, 32.0, 0.5
    x = np.sqrt(n) * np.linalg.qr(rng.normal(size=(n, p)))[0]
    beta, x_test = rng.normal(size=p), rng.normal(size=(30, p))
    tables = []
    for _ in range(40):
        y = x @ beta + s2**0.5 * rng.normal(size=(50, n))
        tables.append(y @ x @ np.linalg.inv(x.T @ x + penalty * np.eye(p)) @ x_test.T)
    found = _terms(tables, x_test @ beta, 0.0)
    shrink = n / (n + penalty)
    assert_close(found["bias²"], float(np.mean((1 - shrink) ** 2 * (x_test @ beta) ** 2)))
    assert_close(found["variance"], float(np.mean(s2 * shrink**2 * (x_test**2).sum(1) / n)))


def test_c8_nearest_neighbours_on_a_fixed_design() -> None:
    rng = np.random.default_rng(8)
    k, s2 = 5, 0.3
    x, x_test = np.linspace(0, 1, 41), np.linspace(0.02, 0.98, 25)
    near = np.argsort(abs(x_test[:, None] - x), axis=1)[:, :k]
    truth = np.sin(6 * x)
    tables = [(truth + s2**0.5 * rng.normal(size=(50, 41)))[:, near].mean(2) for _ in range(40)]
    found = _terms(tables, np.sin(6 * x_test), 0.0)
    assert_close(found["variance"], s2 / k)
    assert_close(found["bias²"], float(np.mean((np.sin(6 * x_test) - truth[near].mean(1)) ** 2)))


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_c14_a_pair_sums_to_its_squared_error(seeds: int) -> None:
    rng = np.random.default_rng(14)
    table, y = rng.normal(size=(3, 2, seeds, 7, 4)), rng.normal(size=(7, 4))
    found = squared.pair_terms(table, y, scale=0.25, noise=None, add_noise=False)
    pairs = [(table[:, 0, s], table[:, 1, t]) for s in range(seeds) for t in range(seeds)]
    variance = np.mean([0.125 * ((a - b) ** 2).sum(-1) for a, b in pairs], axis=0)
    product = np.mean([0.25 * ((a - y) * (b - y)).sum(-1) for a, b in pairs], axis=0)
    assert found.variance == pytest.approx(variance, abs=1e-12)
    assert found.bias_and_noise == pytest.approx(product, abs=1e-12)
    assert found.loss == pytest.approx(variance + product, abs=1e-12)


def test_the_seed_part_is_the_spread_within_a_half() -> None:
    rng = np.random.default_rng(15)
    table = rng.normal(size=(5, 2, 4, 6, 1))
    found = squared.pair_terms(table, np.zeros((6, 1)), scale=1.0, noise=None, add_noise=False)
    assert found.seed == pytest.approx(table[..., 0].var(2, ddof=1).mean(1), abs=1e-12)


def test_independent_models_have_the_textbook_variance() -> None:
    rng = np.random.default_rng(16)
    table, y = rng.normal(size=(9, 11, 3)), rng.normal(size=(11, 3))
    found = squared.model_terms(table, y, scale=1.0, noise=None, add_noise=False)
    assert found.variance.mean(0) == pytest.approx(table.var(0, ddof=1).sum(-1), abs=1e-12)
    mean = table.mean(0)
    expected = ((mean - y) ** 2).sum(-1) - table.var(0, ddof=1).sum(-1) / 9
    assert found.bias_and_noise.mean(0) == pytest.approx(expected, abs=1e-12)
