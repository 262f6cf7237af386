from __future__ import annotations

import io
import math
import re
from xml.etree import ElementTree

import pytest

from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import wilson
from mlkit.report import metrics_table
from mlkit.report.table import NOTE, decimals_for

METRICS = {
    "test": {"loss": Estimate(0.0423, 0.0342, 0.0504, 360, "normal"), "accuracy": wilson(356, 360)},
    "extra": {"loss": Estimate(0.3, 0.2, 0.4, 10, "normal")},
    "val": {"loss": Estimate(math.nan, count=144, method="undefined: no examples"), "accuracy": wilson(140, 144)},
    "train": {"loss": Estimate(0.0103, 0.0095, 0.0111, 1293, "normal"), "accuracy": wilson(1293, 1293)},
}


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"(?<![\w.])-?\d+\.\d+", text)]


def test_splits_stand_in_their_own_order_whatever_order_they_come_in() -> None:
    lines = metrics_table(METRICS).text(width=200).splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["train", "val", "test", "extra"]
    assert [line.split()[1] for line in lines[1:5]] == ["1,293", "144", "360", "10"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_no_width_loses_a_number_or_is_exceeded_by_the_table(width: int) -> None:
    table = metrics_table(METRICS)
    text = table.text(width=width)
    body = [line for line in text.splitlines() if line not in table.notes()]
    assert max(map(len, body)) <= max(width, 36)  # one metric of one split cannot be folded
    assert sorted(_numbers(text)) == sorted(_numbers(table.text(width=200)))


def test_the_table_folds_as_it_gets_narrow() -> None:
    table = metrics_table({"train": METRICS["train"], "test": METRICS["test"]})
    wide, medium, narrow = (table.text(width=width).splitlines() for width in (80, 60, 40))
    assert len(wide) == 3 + 1
    assert len(medium) == 5 + 1  # intervals below the values
    assert narrow[0] == "train (1,293 examples)"


def test_values_of_a_column_have_the_same_decimals_and_end_at_the_same_place() -> None:
    lines = metrics_table({"train": METRICS["train"], "test": METRICS["test"]}).text(width=80).splitlines()
    assert len({len(line) for line in lines[:3]}) == 1
    assert {len(number.partition(".")[2]) for number in re.findall(r"\d\.\d+", "".join(lines[1:3]))} <= {4, 5}


def test_rounding_never_makes_an_interval_exclude_its_value_or_hides_the_gap() -> None:
    for low, value, high in [(0.97171, 0.98889, 0.99567), (0.00012, 0.00015, 0.00019), (48.1, 53.2, 58.3)]:
        text = metrics_table({"test": {"m": Estimate(value, low, high, 100, "normal")}}).text()
        shown, low_shown, high_shown = _numbers(text.splitlines()[1])
        assert low_shown < shown < high_shown
        assert shown == pytest.approx(value, abs=(high - low) / 20)


@pytest.mark.parametrize(
    ("estimate", "decimals"),
    [
        (Estimate(0.9889, 0.9717, 0.9957), 4),
        (Estimate(0.98889, 0.98880, 0.98899), 4),
        (Estimate(53.2, 48.1, 58.3), 2),
        (Estimate(2834.0, 2200.0, 3300.0), 0),
        (Estimate(0.00012, 0.0001, 0.00014), 7),
        (Estimate(math.nan), 0),
        (Estimate(0.0), 0),
        (Estimate(1.0, 1.0, 1.0), 3),
    ],
)
def test_decimals_follow_the_width_of_the_interval(estimate: Estimate, decimals: int) -> None:
    assert decimals_for([estimate]) == decimals


def test_a_number_without_an_interval_says_why() -> None:
    plain = Estimate(0.5, count=9, method="none: the loss of single examples is not known")
    text = str(metrics_table({"val": {"loss": plain, "accuracy": wilson(8, 9)}}))
    assert text.endswith(f"{NOTE}\nloss without an interval: the loss of single examples is not known")
    assert NOTE not in str(metrics_table({"val": {"loss": plain}}))


def test_nothing_evaluated_is_said_in_words() -> None:
    assert str(metrics_table({})) == "no split was evaluated"


def test_rich_prints_the_same_text_in_the_width_of_the_terminal() -> None:
    from rich.console import Console

    table = metrics_table(METRICS)
    for width in (40, 100):
        file = io.StringIO()
        Console(file=file, width=width).print(table)
        assert [line.rstrip() for line in file.getvalue().splitlines()][:3] == table.text(width=width).splitlines()[:3]


def test_the_notebook_shows_every_number_and_names_cannot_break_it() -> None:
    table = metrics_table({**METRICS, "<b>": {"a&b": Estimate(1.0)}})
    root = ElementTree.fromstring(table._repr_html_())
    text = " ".join(root.itertext())
    assert set(_numbers(metrics_table(METRICS).text(width=200))) <= set(_numbers(text))
    assert "a&b" in text
