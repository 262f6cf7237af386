from __future__ import annotations

import numpy as np
import pytest
import torch

from mlkit.errors import DataError
from mlkit.evaluate.worst import worst_rows


def judged(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3), n), rng.integers(0, 3, n)


def test_the_most_confident_errors_come_first() -> None:
    table, labels = judged()
    found = worst_rows(table, labels, most=5)
    losses = -np.log(table[np.arange(30), labels])
    wrong = np.flatnonzero(table.argmax(1) != labels)
    expected = sorted(wrong, key=lambda row: -losses[row])[:5]
    assert [row.row for row in found.rows] == expected
    assert found.share == pytest.approx(losses[expected].sum() / losses.sum())


def test_right_rows_count_where_asked_for() -> None:
    table, labels = judged()
    everything = worst_rows(table, labels, only_errors=False, most=30)
    assert sorted(row.row for row in everything.rows) == list(range(30))
    assert everything.share == pytest.approx(1.0)


def test_logits_are_taken_as_logits() -> None:
    table, labels = judged()
    logits = torch.from_numpy(np.log(table))
    assert worst_rows(logits, labels, outputs="logits").to_dict()["rows"][0]["loss"] == pytest.approx(
        worst_rows(table, labels).rows[0].loss
    )


def test_numbers_by_their_squared_error() -> None:
    found = worst_rows(np.array([1.0, 5.0, 2.0]), np.array([1.0, 2.0, 4.0]), outputs="values", most=2)
    assert [(row.row, row.loss, row.label) for row in found.rows] == [(1, 9.0, "2"), (2, 4.0, "4")]


@pytest.mark.parametrize("theme", ["light", "dark", "neutral"])
@pytest.mark.parametrize("kind", ["image", "grey", "series", "table", "text"])
def test_every_kind_of_input_is_drawn(kind: str, theme: str) -> None:
    table, labels = judged()
    rng = np.random.default_rng(1)
    inputs = {
        "image": rng.random((30, 3, 8, 8)),
        "grey": rng.random((30, 8, 8)),
        "series": rng.normal(size=(30, 2, 40)),
        "table": rng.normal(size=(30, 9)),
        "text": [f"text number {k} of a few words that go on for a while" for k in range(30)],
    }[kind]
    shown = "series" if kind == "series" else None
    found = worst_rows(table, labels, inputs=inputs, shown=shown, most=6)
    panels = found.figure(theme=theme).axes  # type: ignore[arg-type]
    drawn = [bool(axes.images or axes.lines or axes.texts) for axes in panels]
    assert drawn == [True] * 6 + [False] * 2


def test_a_picture_is_of_its_own_row() -> None:
    table, labels = judged()
    inputs = np.zeros((30, 4, 4))
    inputs[np.arange(30), 0, 0] = 1.0
    inputs[np.arange(30), 1, 1] = np.arange(30) / 30
    found = worst_rows(table, labels, inputs=inputs, most=3)
    for row, axes in zip(found.rows, found.figure().axes, strict=False):
        assert axes.images[0].get_array()[1, 1] == pytest.approx(row.row / 30)


def test_bad_input_is_refused() -> None:
    table, labels = judged()
    with pytest.raises(DataError, match="inputs are not of these rows"):
        worst_rows(table, labels, inputs=np.zeros((29, 4, 4)))
    with pytest.raises(DataError, match="inputs are not of these rows"):
        worst_rows(table, labels, inputs=["one"])
    with pytest.raises(DataError, match="nothing to draw"):
        worst_rows(table, labels).figure()
    with pytest.raises(DataError, match="one number a row"):
        worst_rows(np.zeros(3), np.zeros(4), outputs="values")
    with pytest.raises(DataError, match="not finite"):
        worst_rows(np.array([np.nan, 0.0]), np.zeros(2), outputs="values")


def test_it_fits_the_terminal() -> None:
    table, labels = judged()
    found = worst_rows(table, labels, names=["a" * 40, "b" * 40, "c" * 40])
    assert max(map(len, str(found).splitlines())) <= 80
