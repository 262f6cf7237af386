from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mlkit.data import DataBundle, load
from mlkit.data.forecasting import etth1, forecast_csv
from mlkit.errors import ConfigError, DataError


def _file(folder: Path, rows: int = 200, header: str = "day,heat,rain,sky", step: int = 1) -> Path:
    """Heat is the number of the row plus one, rain its square; days are ISO dates from 2020 on."""
    days = np.datetime64("2020-01-01") + np.arange(rows) * step
    lines = [f"{day},{number + 1},{number**2},{'blue' if number % 2 else 'grey'}" for number, day in enumerate(days)]
    path = folder / "weather.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def _edit(path: Path, line: int, new: str) -> Path:
    lines = path.read_text().split("\n")
    lines[line - 1] = new
    path.write_text("\n".join(lines))
    return path


def _refusal(read: Callable[[], object], kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def _all(bundle: DataBundle, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets of a split, targets in their own unit and as ``(N, horizon, columns)``."""
    split = getattr(bundle, name)
    (x,), y = split.gather(torch.arange(len(split)))
    return x, y * torch.tensor(bundle.task.target_std) + torch.tensor(bundle.task.target_mean)


def test_targets_are_the_rows_after_the_context(tmp_path: Path) -> None:
    bundle = forecast_csv(_file(tmp_path), target="heat", context=10, horizon=3)
    assert str(bundle) == "weather: series 10 x 2, 3 targets; train 128, val 8, test 28"
    for name, begin, end in (("train", 0, 140), ("val", 140, 160), ("test", 160, 200)):
        x, y = _all(bundle, name)
        heat = x[..., 0] * bundle.task.target_std[0] + bundle.task.target_mean[0]
        torch.testing.assert_close(y[:, 0], heat[:, -1] + 1, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(y, y[:, :1] + torch.arange(3), rtol=1e-4, atol=1e-3)
        assert round(float(heat.min())) == begin + 1  # nothing from before the split
        assert round(float(y.max())) == end


def test_statistics_come_from_the_rows_of_train(tmp_path: Path) -> None:
    bundle = forecast_csv(_file(tmp_path), target="heat", context=10, borders=(100, 150, 200))
    heat = np.arange(1, 101)
    assert bundle.task.target_mean == pytest.approx((heat.mean(),))
    assert bundle.task.target_std == pytest.approx((heat.std(),))


def test_several_targets_come_step_by_step(tmp_path: Path) -> None:
    bundle = forecast_csv(_file(tmp_path), target=["rain", "heat"], context=5, horizon=2)
    assert bundle.task.num_outputs == 4
    _, y = _all(bundle, "train")
    np.testing.assert_allclose(y[0].numpy(), [25, 6, 36, 7], rtol=1e-3, atol=1e-1)


def test_borrowed_context_forecasts_every_row_of_a_split(tmp_path: Path) -> None:
    bundle = forecast_csv(_file(tmp_path), target="heat", context=10, horizon=3, borrow_context=True)
    for name, begin, end in (("val", 140, 160), ("test", 160, 200)):
        _, y = _all(bundle, name)
        assert y[:, 0].round().tolist() == list(range(begin + 1, end - 1))


def test_columns_that_are_not_numbers_are_left_out_and_noted(tmp_path: Path) -> None:
    bundle = forecast_csv(_file(tmp_path), target="heat", context=5)
    assert bundle.notes["left out"] == "sky: not numbers"
    assert bundle.notes["inputs"] == "heat, rain"
    assert bundle.notes["time column"] == "day"
    only = forecast_csv(_file(tmp_path), target="heat", context=5, columns=["rain"], time_column="day")
    assert only.notes["inputs"] == "rain, heat"


def test_a_logarithm_turns_growth_into_a_line(tmp_path: Path) -> None:
    path = tmp_path / "growth.csv"
    path.write_text("x\n" + "".join(f"{1.1**n}\n" for n in range(100)))
    bundle = forecast_csv(path, target="x", context=2, log=True)
    _, y = _all(bundle, "test")
    torch.testing.assert_close(y[:, 0].diff(), torch.full((len(y) - 1,), float(np.log(1.1))), rtol=1e-2, atol=1e-4)
    assert "natural logarithm" in bundle.notes["log"]
    path.write_text("x\n1\n2\n0\n" + "3\n" * 50)
    message = _refusal(lambda: forecast_csv(path, target="x", context=2, log=True))
    assert "line 4, column 'x': no logarithm" in message


def test_gaps_in_time_are_noted(tmp_path: Path) -> None:
    path = _file(tmp_path)
    lines = path.read_text().split("\n")
    del lines[50:53]
    path.write_text("\n".join(lines))
    bundle = forecast_csv(path, target="heat", context=5)
    assert bundle.notes["gaps"] == "1 gaps in time, the first before 2020-02-22"


def test_time_that_runs_backwards_is_refused(tmp_path: Path) -> None:
    path = _edit(_file(tmp_path), 5, "2020-01-02,4,9,grey")
    message = _refusal(lambda: forecast_csv(path, target="heat", context=5))
    assert "line 5, column 'day': time does not run forwards" in message
    assert "'2020-01-02' after '2020-01-03'" in message
    assert "sort the file by time" in message


def test_time_in_another_form_is_refused_only_where_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("when,x\n" + "".join(f"{1 + n % 28}.{1 + n // 28}.2020,{n}\n" for n in range(100)))
    assert "not understood" in forecast_csv(path, target="x", context=5).notes["time"]
    message = _refusal(lambda: forecast_csv(path, target="x", context=5, time_column="when"))
    assert "line 2, column 'when': not a time" in message


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("2020-01-04,,9,blue", ["line 5, column 'heat': a missing value", "1 missing in this column"]),
        ("2020-01-04,nan,9,blue", ["line 5, column 'heat': a missing value"]),
        ("2020-01-04,warm,9,blue", ["line 5, column 'heat': not a number", "'warm'"]),
        ("2020-01-04,inf,9,blue", ["line 5, column 'heat': not a number"]),
        ("2020-01-04,4,?,blue", ["line 5, column 'rain': a missing value"]),
        ("2020-01-04,4,9", ["line 5: wrong number of cells"]),
    ],
)
def test_damaged_cells_are_refused_with_their_place(tmp_path: Path, line: str, parts: list[str]) -> None:
    path = _edit(_file(tmp_path), 5, line)
    message = _refusal(lambda: forecast_csv(path, target="heat", context=5))
    for part in parts:
        assert part in message


def test_unknown_columns_are_all_told(tmp_path: Path) -> None:
    message = _refusal(
        lambda: forecast_csv(_file(tmp_path), target="hate", context=5, columns=["rian"], time_column="date")
    )
    assert "did you mean 'heat'?" in message
    assert "did you mean 'rain'?" in message
    assert "no time column of that name" in message


@pytest.mark.parametrize("settings", [{"target": "day"}, {"target": "heat", "columns": ["day"]}])
@pytest.mark.parametrize("named", [True, False])
def test_the_time_column_is_no_value(tmp_path: Path, settings: dict[str, object], named: bool) -> None:
    time_column = "day" if named else None
    message = _refusal(lambda: forecast_csv(_file(tmp_path), context=5, time_column=time_column, **settings))
    assert "the time column is not a value" in message
    assert "heat, rain, sky" in message


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"context": 0}, "data.context is too small"),
        ({"horizon": 0}, "data.horizon is too small"),
        ({"target": []}, "data.target names no column"),
        ({"borders": (150, 100)}, "borders of the splits cannot be right"),
        ({"borders": (100, 150, 201)}, "ascending, up to 200"),
        ({"val_fraction": 0.9, "test_fraction": 0.2}, "together below 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, settings: dict[str, object], part: str) -> None:
    path = _file(tmp_path)
    assert part in _refusal(lambda: forecast_csv(path, **{"target": "heat", "context": 5, **settings}), ConfigError)


def test_a_series_that_is_too_short_is_refused(tmp_path: Path) -> None:
    message = _refusal(lambda: forecast_csv(_file(tmp_path, rows=20), target="heat", context=10))
    assert "weather: the val split is too short for a window" in message


def test_a_constant_column_becomes_zero(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("x,c\n" + "".join(f"{n},7\n" for n in range(100)))
    x, _ = _all(forecast_csv(path, target="x", context=5), "test")
    assert x[..., 1].abs().max() == 0


def test_missing_files_of_the_catalogue_are_named(tmp_path: Path) -> None:
    assert str(tmp_path / "timeseries/ETTh1.csv") in _refusal(lambda: load("etth1", root=tmp_path))


@pytest.mark.data
@pytest.mark.parametrize(("days_back", "mse", "mae"), [(0, 0.0343, 0.139), (1, 0.0458, 0.166)])
def test_etth1_baselines(data_root: Path, days_back: int, mse: float, mae: float) -> None:
    bundle = etth1(root=data_root, columns=["OT"], borrow_context=True)
    assert bundle.test is not None
    (x,), y = bundle.test.gather(torch.arange(len(bundle.test)))
    assert len(y) == 2880 - 24 + 1
    guess = x[:, -24:, 0].double() if days_back else x[:, -1:, 0].double()
    error = y.double() - guess
    assert round(float(error.square().mean()), 4) == mse
    assert round(float(error.abs().mean()), 3) == mae


@pytest.mark.data
def test_etth1_is_standardised_by_the_first_8640_rows(data_root: Path) -> None:
    table = np.genfromtxt(data_root / "timeseries/ETTh1.csv", delimiter=",", skip_header=1)[:, 1:]
    bundle = etth1(root=data_root)
    assert bundle.task.target_mean[0] == pytest.approx(table[:8640, 6].mean(), rel=1e-5)
    assert bundle.task.target_std[0] == pytest.approx(table[:8640, 6].std(), rel=1e-5)
    x, y = _all(bundle, "test")
    assert x.shape == (2880 - 96 - 24 + 1, 96, 7)
    np.testing.assert_allclose(y[0].numpy(), table[11_520 + 96 : 11_520 + 120, 6], rtol=1e-4, atol=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "rows", "borders"),
    [
        ("air_passengers", 144, (96, 120, 144)),
        ("daily_temperatures", 3650, (2920, 3285, 3650)),
        ("sunspots", 2820, (1974, 2256, 2820)),
    ],
)
def test_the_small_series(data_root: Path, name: str, rows: int, borders: tuple[int, int, int]) -> None:
    bundle = load(name, root=data_root)
    assert (
        f"train to row {borders[0]:,}, val to row {borders[1]:,}, test to row {borders[2]:,}" in bundle.notes["split"]
    )
    assert borders[2] == rows
    window = bundle.task.input_shape[0] + bundle.task.num_outputs
    assert [len(split) for _, split in bundle.splits()] == [
        end - begin - window + 1 for begin, end in zip((0, *borders), borders, strict=False)
    ]


@pytest.mark.data
def test_the_last_passengers_are_those_of_december_1960(data_root: Path) -> None:
    _, y = _all(load("air_passengers", root=data_root), "test")
    assert round(float(y[-1, 0])) == 432
    _, y = _all(load("air_passengers", root=data_root, log=True), "test")
    assert float(y[-1, 0]) == pytest.approx(np.log(432), rel=1e-5)
