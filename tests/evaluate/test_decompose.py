from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import mlkit.evaluate as ev
from mlkit.data.adapt import from_tensors
from mlkit.errors import ConfigError, DataError, MlkitError, ModelError
from tests.evaluate.worlds import Floats, assert_close, histogram, least_squares, linear_data, variance_of_ols

X, Y = np.arange(40, dtype=float)[:, None], np.arange(40) % 2
TEST = (X[:6], Y[:6])


def even(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
    return lambda rows: np.zeros((len(rows), 2))


def noisy(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
    """Logits that depend on rows and seed."""
    rng = np.random.default_rng([seed, int(np.asarray(x).sum())])
    weights = rng.normal(size=3)
    return lambda rows: np.outer(np.sin(np.asarray(rows)[:, 0]), weights)


def gives(made: Callable[[Any], Any]) -> Callable[[Any, Any, int], Callable[[Any], Any]]:
    return lambda x, y, seed: made


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda rows: np.zeros((len(rows) + 1, 2)), "predicts something of another shape"),
        (lambda rows: np.zeros((2, len(rows), 2)), "predicts something of another shape"),
        (lambda rows: np.array(["a"] * len(rows)), "predicts something of another shape"),
        (lambda rows: np.zeros(len(rows), dtype=int), "predicts labels, not logits"),
        (lambda rows: np.zeros(len(rows), dtype=bool), "predicts labels, not logits"),
        (lambda rows: np.full((len(rows), 2), math.nan), "predicts what is not finite"),
        (lambda rows: np.full((len(rows), 2), math.inf), "predicts what is not finite"),
    ],
    ids=["rows", "axes", "text", "labels", "bools", "nan", "inf"],
)
def test_predictions_that_do_not_fit_are_refused(made: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ev.decompose(gives(made), (X, Y), test=TEST)


@pytest.mark.parametrize(
    ("made", "loss", "message"),
    [
        (lambda rows: np.full((len(rows), 2), 0.7), "brier", "what cannot be probabilities"),
        (lambda rows: np.tile([1.5, -0.5], (len(rows), 1)), "brier", "what cannot be probabilities"),
        (lambda rows: np.tile([1.0, 0.0], (len(rows), 1)), "cross_entropy", "a probability of exactly 0"),
    ],
    ids=["sum", "negative", "zero"],
)
def test_what_are_no_probabilities_is_refused(made: Callable[[Any], Any], loss: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ev.decompose(gives(made), (X, Y), test=TEST, loss=loss, outputs="probabilities")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hinge"}, "unknown loss"),
        ({"loss": "squared", "outputs": "logits"}, "outputs that do not go with squared"),
        ({"outputs": "values"}, "outputs that do not go with cross_entropy"),
        ({"size": "huge"}, "no such size"),
        ({"size": (0, 1)}, "no such size"),
        ({"size": (2, 1.5)}, "no such size"),
        ({"noise": 0.1, "soft_labels": np.full((6, 2), 0.5)}, "the noise is given twice"),
        ({"noise": -0.1}, "the noise cannot be"),
        ({"noise": np.zeros(5)}, "the noise cannot be"),
        ({"soft_labels": np.full((6, 2), 0.4)}, "soft labels are not probabilities"),
        ({"soft_labels": np.full((5, 2), 0.5)}, "soft labels are not probabilities"),
        ({"loss": "zero_one", "noise": 0.1}, "0-1 loss is not split"),
        ({"strata": Y, "groups": Y}, "cannot both be kept"),
        ({"strata": Y[:5]}, "strata do not fit the rows"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MlkitError, match=message):
        ev.decompose(even, (X, Y), test=TEST, **options)


def test_soft_labels_are_refused_for_numbers() -> None:
    with pytest.raises(ConfigError, match="soft labels are of classes"):
        ev.decompose(least_squares, (X, Y), test=(X[:6], Y[:6]), loss="squared", soft_labels=np.full((6, 2), 0.5))


@pytest.mark.parametrize(
    ("data", "test", "message"),
    [
        ((X, Y), None, "nothing to judge on"),
        ((X, Y[:-1]), TEST, "training inputs and targets differ in length"),
        ((X, Y), (X[:3], Y[:4]), "test inputs and targets differ in length"),
        ((X[:0], Y[:0]), TEST, "training inputs and targets differ in length, or there are none"),
        ((X[:3], Y[:3]), TEST, "too few training rows to halve"),
        (X, TEST, "data must be a pair"),
        ((X, Y), (X[:6], np.full(6, 7)), "class"),
        ((X, Y), (X[:6], np.full(6, math.nan)), ""),
    ],
    ids=["no test", "lengths", "test lengths", "empty", "three rows", "no pair", "class 7", "nan labels"],
)
def test_data_that_do_not_fit_are_refused(data: Any, test: Any, message: str) -> None:
    with pytest.raises(DataError, match=message or None):
        ev.decompose(even, data, test=test)


@pytest.mark.parametrize(("size", "models"), [("quick", 4), ("default", 16), ("paper", 64), ((3, 5), 30)])
def test_sizes(size: Any, models: int) -> None:
    seen: list[tuple[int, int]] = []

    def counted(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        seen.append((len(x), seed))
        return noisy(x, y, seed)

    found = ev.decompose(counted, (X, Y), test=TEST, size=size, full=True)
    seeds = found.sizes.seeds or 0
    assert found.sizes.models == models
    assert [rows for rows, _ in seen] == [20] * models + [40] * seeds
    assert len({seed for _, seed in seen}) == models + seeds  # no two models share a seed
    assert bool(found.parts) == (seeds > 1)


@pytest.mark.parametrize("loss", ["cross_entropy", "brier"])
def test_terms_sum_to_the_loss_and_rows_to_the_terms(loss: Any) -> None:
    soft = np.random.default_rng(0).dirichlet(np.ones(3), size=6)
    for known in ({}, {"soft_labels": soft}, {"noise": 0.1}):
        found = ev.decompose(noisy, (X, Y), test=TEST, loss=loss, **known)
        assert sum(term.value for term in found.terms) == pytest.approx(found.total.value, abs=1e-12)
        assert found.variance_rows.mean() == pytest.approx(found.term("variance").value, abs=1e-12)
        assert sum(part.value for part in found.parts) == pytest.approx(found.term("variance").value, abs=1e-12)
        rest = found.total.value - found.term("variance").value
        assert found.bias_rows.mean() == pytest.approx(rest, abs=1e-12)
        assert len(found.terms) == (3 if known else 2)


def test_without_known_noise_nothing_is_called_bias() -> None:
    found = ev.decompose(noisy, (X, Y), test=TEST)
    assert [term.name for term in found.terms] == ["bias + noise", "variance"]
    assert "'bias + noise' is not bias: give noise= or soft_labels= to split it" in found.notes
    with pytest.raises(DataError, match="no such term"):
        found.term("bias")


def test_it_says_for_how_many_rows_it_holds() -> None:
    found = ev.decompose(noisy, (X, Y), test=TEST, size="quick")
    assert "all terms are for training sets of 20 rows, half of those given" in str(found).replace("\n  ", " ")


def test_equal_seeds_give_equal_results_and_others_other_partitions() -> None:
    first, again, other = (ev.decompose(noisy, (X, Y), test=TEST, size="quick", seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert first.total.value != other.total.value


def test_a_learner_that_ignores_its_seed_has_no_seed_part() -> None:
    data = linear_data(np.random.default_rng(0), 60, 3)
    found = ev.decompose(least_squares, data, test=data, loss="squared", size=(4, 3))
    assert found.term("seed part").value == pytest.approx(0, abs=1e-12)
    assert found.term("data part").value == pytest.approx(found.term("variance").value, abs=1e-12)


def test_a_learner_that_ignores_its_rows_has_a_data_part_of_0() -> None:
    def by_seed(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        moved = np.random.default_rng(seed).normal()
        return lambda rows: np.full((len(rows), 1), moved)

    values = [
        ev.decompose(by_seed, (X, Y), test=TEST, loss="squared", size=(2, 2), seed=seed).term("data part").value
        for seed in range(200)
    ]
    assert_close(values, 0.0)


def test_the_seed_part_of_a_learner_that_adds_noise() -> None:
    def shaken(x: Floats, y: Floats, seed: int) -> Callable[[Floats], Floats]:
        line, moved = least_squares(x, y, seed), np.random.default_rng(seed).normal(scale=0.5)
        return lambda rows: line(rows) + moved

    rng = np.random.default_rng(3)
    found = []
    for number in range(120):
        data, test = linear_data(rng, 60, 4), linear_data(rng, 100, 4)
        found.append(ev.decompose(shaken, data, test=test, loss="squared", size=(2, 2), seed=number))
    assert_close([one.term("seed part").value for one in found], 0.25)
    assert_close([one.term("data part").value for one in found], variance_of_ols(30, 4))


def test_the_last_doubling_is_the_difference_of_the_two_variances() -> None:
    rng = np.random.default_rng(4)
    gains = []
    for number in range(200):
        data, test = linear_data(rng, 60, 4), linear_data(rng, 200, 4)
        found = ev.decompose(least_squares, data, test=test, loss="squared", size=(4, 1), full=True, seed=number)
        assert found.full is not None
        gain = found.term("last doubling of data").value
        assert gain == pytest.approx(found.total.value - found.full.value, abs=1e-12)
        gains.append(gain)
    assert_close(gains, variance_of_ols(30, 4) - variance_of_ols(60, 4))


def test_known_noise_leaves_the_bias() -> None:
    rng = np.random.default_rng(5)
    bias = []
    for number in range(150):
        data, test = linear_data(rng, 60, 4), linear_data(rng, 200, 4)
        found = ev.decompose(least_squares, data, test=test, loss="squared", size=(2, 1), noise=1.0, seed=number)
        bias.append(found.term("bias²").value)
    assert_close(bias, 0.0)


def test_tensors_bundles_and_arrays_come_to_the_same() -> None:
    def line(x: Any, y: Any, seed: int) -> Callable[[Any], Any]:
        return lambda rows: torch.as_tensor(rows)[:, :1] * torch.as_tensor(np.asarray(y)).float().mean()

    x, y = torch.from_numpy(X).float(), torch.from_numpy(Y).float()[:, None]
    arrays = ev.decompose(line, (x.numpy(), y.numpy()), test=(x.numpy(), y.numpy()), loss="squared", size="quick")
    tensors = ev.decompose(line, (x, y), test=(x, y), loss="squared", size="quick")
    assert arrays.total.value == pytest.approx(tensors.total.value)
    bundle = from_tensors(x, y)
    found = ev.decompose(line, bundle, loss="squared", size="quick")
    assert found.sizes.test_rows == len(bundle.val)
    assert found.sizes.training_rows == len(bundle.train) // 2


def test_one_column_is_the_logit_of_class_1() -> None:
    def one(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        return lambda rows: noisy(x, y, seed)(rows)[:, 1]

    def two(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        return lambda rows: np.stack([np.zeros(len(rows)), one(x, y, seed)(rows)], 1)

    found = [ev.decompose(learner, (X, Y), test=TEST, size="quick").to_dict() for learner in (one, two)]
    assert found[0] == found[1]


def test_every_class_of_two_rows_is_in_every_half() -> None:
    y = np.zeros(40, dtype=int)
    y[[3, 9]] = 1

    def checked(x: Any, y: Any, seed: int) -> Callable[[Any], Floats]:
        assert set(y.tolist()) == {0, 1}
        return even(x, y, seed)

    ev.decompose(checked, (X, y), test=TEST, size=(10, 1))


def test_the_users_data_are_not_changed() -> None:
    x, y, x_test, y_test = X.copy(), Y.copy(), X[:6].copy(), Y[:6].copy()
    ev.decompose(noisy, (x, y), test=(x_test, y_test), size="quick", full=True)
    assert (x == X).all()
    assert (y == Y).all()
    assert (x_test == X[:6]).all()
    assert (y_test == Y[:6]).all()


def test_votes_of_halves_sum_to_the_error() -> None:
    found = ev.decompose(noisy, (X, Y), test=TEST, loss="zero_one")
    wrong, hurts, helps = (term.value for term in found.terms)
    assert wrong + hurts - helps == pytest.approx(found.total.value, abs=1e-12)
    assert "no additive split" in found.verdict()


@pytest.mark.parametrize("loss", ["cross_entropy", "zero_one", "brier"])
def test_it_fits_the_terminal_and_has_plain_values(loss: Any) -> None:
    cells = np.repeat(np.arange(20), 6)
    y = (np.random.default_rng(1).random(120) < 0.7).astype(int)
    found = ev.decompose(
        histogram(20),
        (cells[:, None], y),
        test=(cells[:, None], y),
        loss=loss,
        outputs="probabilities",
        strata=cells,
        full=True,
    )
    assert max(map(len, str(found).splitlines())) <= 80
    told = found.to_dict()
    assert [term["name"] for term in told["terms"]] == [term.name for term in found.terms]
    assert told["sizes"]["models"] == 16
    assert "<svg" in found._repr_html_()
