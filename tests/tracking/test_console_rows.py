from __future__ import annotations

import math

import pytest

from mlkit.tracking.console_rows import Progress, Row, clock, make_layout, number, of, progress_parts, short

VALUES = {
    "running/loss": 0.7,
    "train/loss": 0.61234,
    "train/accuracy": 0.7,
    "train/f1": 0.6,
    "val/loss": 0.65,
    "val/accuracy": 0.68,
    "val/f1": 0.66,
}
ROW = Row(3, 15, VALUES, 83.0, best=True)


@pytest.mark.parametrize("width", [10, 40, 60, 80, 100, 200])
def test_rows_stay_within_the_width_and_under_their_titles(width: int) -> None:
    layout = make_layout(ROW, width=width, max_epochs=20)
    worse = Row(12, 60, {**VALUES, "val/loss": math.nan, "train/loss": 123456.0}, 7200.0)
    header, lines = layout.header(), [layout.line(ROW), layout.line(worse)]
    assert max(map(len, [header, *lines])) <= width
    end = 0
    for column in layout.columns:
        end += column.width
        for line in [header, *lines]:
            assert line[end - 1] != " "  # every column ends where its title ends
        end += 2


def test_the_narrower_the_place_the_fewer_and_the_more_telling_the_columns() -> None:
    keys = [[c.key for c in make_layout(ROW, width=width, max_epochs=20).columns] for width in (40, 72, 200)]
    assert keys[0] == ["epoch", "val/loss", "val/accuracy", "time"]
    assert keys[1] == ["epoch", "train/loss", "val/loss", "train/accuracy", "val/accuracy", "time"]
    assert keys[2] == [*keys[1][:-1], "val/f1", "time"]


def test_without_evaluation_the_running_loss_is_shown_and_values_that_are_missing_are_a_dash() -> None:
    layout = make_layout(Row(1, 5, {"running/loss": 0.5}, 1.0), width=80, max_epochs=None)
    assert layout.header().split() == ["epoch", "train", "loss", "time"]
    assert layout.line(Row(2, 10, {}, 2.0)).split() == ["2", "-", "0:02"]


def test_what_is_not_known_of_the_progress_is_left_out() -> None:
    assert progress_parts(Progress(1, None, 7, None)) == {"epoch": "epoch 1", "step": "step 7"}
    known = Progress(2, 20, 70, 1000, fraction=0.999, loss=0.25, score=("val f1", 0.5), rate=12345.0, left=61.0)
    assert list(progress_parts(known).values()) == [
        "epoch  2/20",
        " 99%",
        "step    70/1,000",
        "loss 0.2500",
        "val f1 0.5000",
        "12k/s",
        "1:01 left",
    ]


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 99.99995, 1e-3, 9.9e-4, 1e6, -1.2345e-7, 1e300, math.inf, math.nan])
def test_numbers_are_short_and_true_to_four_digits(value: float) -> None:
    text = number(value)
    assert len(text) <= 10
    assert float(text) == pytest.approx(value, rel=5e-4, abs=5e-5 if abs(value) >= 1e-3 else 0, nan_ok=True)


def test_widths_do_not_change_while_counts_grow() -> None:
    assert {len(of(done, 9000, ",")) for done in (1, 10, 1000, 9000)} == {11}
    assert max(len(short(10.0**power * 9.99)) for power in range(8)) <= 5
    assert clock(59.9) == "0:59"
