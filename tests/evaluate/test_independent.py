from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.errors import MlkitError
from mlkit.evaluate.pairs import jackknife


@pytest.mark.parametrize(
    ("table", "y", "options", "message"),
    [
        (np.zeros((1, 5, 2)), np.zeros(5, dtype=int), {}, "predictions of several models are needed"),
        (np.zeros(5), np.zeros(5, dtype=int), {}, "predictions of several models are needed"),
        (np.zeros((3, 0, 2)), np.zeros(0, dtype=int), {}, "predictions of several models are needed"),
        (np.zeros((3, 5, 2)), np.zeros(4, dtype=int), {}, "targets"),
        (np.full((3, 5, 2), math.nan), np.zeros(5, dtype=int), {}, "model 0 predicts what is not finite"),
        (np.zeros((3, 5), dtype=int), np.zeros(5, dtype=int), {}, "predicts labels, not logits"),
        (np.zeros((3, 5)), np.zeros(5), {"loss": "squared", "outputs": "logits"}, "outputs that do not go with"),
    ],
    ids=["one model", "one axis", "no rows", "targets", "nan", "labels", "outputs"],
)
def test_bad_input_is_refused(table: Any, y: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MlkitError, match=message):
        ev.decompose_predictions(table, y, **options)


@pytest.mark.parametrize("loss", ["cross_entropy", "brier"])
def test_terms_sum_to_the_loss(loss: Any) -> None:
    rng = np.random.default_rng(0)
    found = ev.decompose_predictions(rng.normal(size=(6, 9, 3)), rng.integers(0, 3, 9), loss=loss, noise=0.2)
    assert sum(term.value for term in found.terms) == pytest.approx(found.total.value, abs=1e-12)


def test_it_says_what_it_takes_for_granted() -> None:
    found = ev.decompose_predictions(np.random.default_rng(1).normal(size=(4, 9)), np.zeros(9), loss="squared")
    assert "bootstrap or folds are not" in " ".join(str(found).split())
    assert max(map(len, str(found).splitlines())) <= 80


def test_pseudo_values_of_a_mean_square_are_those_of_the_textbook() -> None:
    table = np.random.default_rng(2).normal(size=(7, 3, 1))
    found = jackknife(table, lambda part: np.asarray(part.var(0).sum(-1)))
    assert found.mean(0) == pytest.approx(table.var(0, ddof=1).sum(-1), abs=1e-12)
