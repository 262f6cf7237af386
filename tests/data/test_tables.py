from __future__ import annotations

import csv as std_csv
from pathlib import Path

import numpy as np
import pytest
import torch

from mlkit.data import load
from mlkit.data.tables import adult, california_housing, csv, protein, wine_quality
from mlkit.errors import ConfigError, DataError

FRUIT = "weight,colour,fruit\n150,red,apple\n?,yellow,banana\n170,green,apple\n120,yellow,banana\n"


def _file(folder: Path, content: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _patients(folder: Path) -> Path:
    rows = "".join(f"{n},p{n // 5},2020-01-{1 + n % 28:02d},{n % 2}\n" for n in range(100))
    return _file(folder, "x,patient,day,y\n" + rows)


def test_numbers_codes_and_classes(tmp_path: Path) -> None:
    source = csv(_file(tmp_path, FRUIT), target="fruit")
    assert source.task.kind == "classification"
    assert source.task.input_kind == "table"
    assert source.task.class_names == ("apple", "banana")
    assert source.targets.tolist() == [0, 1, 0, 1]
    numbers, codes = source.inputs
    assert numbers[:, 0].isnan().tolist() == [False, True, False, False]
    assert codes[:, 0].tolist() == [2, 3, 1, 3]  # green, red, yellow
    assert source.notes["missing"] == "1 cells"
    assert source.notes["target"] == "fruit, classification (decided by its values)"


def test_a_table_of_numbers_alone_is_a_vector(tmp_path: Path) -> None:
    source = csv(_file(tmp_path, "a,b,y\n1,2,0.5\n3,4,1.5\n"), target="y")
    assert (source.task.kind, source.task.input_kind, len(source.inputs)) == ("regression", "vector", 1)
    assert source.targets.tolist() == [[0.5], [1.5]]


def test_a_category_of_the_test_file_that_training_never_saw_becomes_unknown(tmp_path: Path) -> None:
    train = _file(tmp_path, "c,y\n" + "red,0\nblue,1\n" * 20)
    test = _file(tmp_path, "c,y\nred,0\ngreen,1\n", "test.csv")
    bundle = load("csv", path=train, test_path=test, target="y")
    assert bundle.task.cardinalities == (3,)
    assert bundle.test is not None
    _, codes = bundle.test.gather(torch.arange(2)).inputs
    assert codes[:, 0].tolist() == [2, 0]


def test_missing_numbers_become_the_training_mean_and_an_indicator(tmp_path: Path) -> None:
    rows = "".join(f"{'' if n % 4 == 0 else n},{n % 2}\n" for n in range(80))
    bundle = load("csv", path=_file(tmp_path, "x,y\n" + rows), target="y")
    assert bundle.task.input_shape == (2,)
    (x,) = bundle.train.gather(torch.arange(len(bundle.train))).inputs
    value, indicator = x.unbind(1)
    assert set(indicator.tolist()) == {0.0, 1.0}
    assert value[indicator == 1].abs().max() == 0
    torch.testing.assert_close(value[indicator == 0].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_a_group_is_never_split_up_and_is_no_input(tmp_path: Path) -> None:
    bundle = load("csv", path=_patients(tmp_path), target="y", group="patient", drop="day")
    assert bundle.task.input_shape == (1,)
    columns = [split.gather(torch.arange(len(split))).inputs[0][:, 0] for _, split in bundle.splits()]
    # Standardised, the column x still runs evenly from 0 to 99, and a patient has five rows after one another.
    whole = torch.cat(columns)
    step = (whole.max() - whole.min()) / 99
    patients = [set(((x - whole.min()) / step).round().div(5, rounding_mode="floor").tolist()) for x in columns]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 20


def test_groups_in_both_files_are_refused(tmp_path: Path) -> None:
    train = _patients(tmp_path)
    test = _file(tmp_path, "x,patient,day,y\n1,p3,2020-01-01,0\n2,q,2020-01-01,1\n", "test.csv")
    with pytest.raises(DataError, match="groups that are in the training file too") as caught:
        csv(train, target="y", test_path=test, group="patient", drop=["day"])
    assert "1 values of 'patient', such as 'p3'" in str(caught.value)


def test_later_rows_are_held_out(tmp_path: Path) -> None:
    days = np.random.default_rng(0).permutation(60)
    rows = "".join(f"{day},{day},{day % 2}\n" for day in days)
    bundle = load("csv", path=_file(tmp_path, "t,x,y\n" + rows), target="y", time="t")
    assert bundle.task.input_shape == (1,)
    latest = -torch.inf
    for name in ("train", "val", "test"):
        split = getattr(bundle, name)
        (x,) = split.gather(torch.arange(len(split))).inputs
        assert x.min() > latest
        latest = x.max()


def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, FRUIT)
    with pytest.raises(ConfigError, match="unknown task") as caught:
        csv(path, target="fruit", task="classificaton")
    assert "did you mean 'classification'?" in str(caught.value)
    with pytest.raises(ConfigError, match="group and time cannot both decide the split"):
        csv(path, target="fruit", group="colour", time="weight")


def test_all_unknown_columns_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        csv(_file(tmp_path, FRUIT), target="friut", categorical=["color"], drop=["id"])
    message = str(caught.value)
    assert "no target column of that name" in message
    assert "did you mean 'fruit'?" in message
    assert "did you mean 'colour'?" in message
    assert "'id'" in message
    assert "weight, colour, fruit" in message


def test_a_target_that_is_dropped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot also be dropped"):
        csv(_file(tmp_path, FRUIT), target="fruit", drop=["fruit"])


def test_a_test_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    test = _file(tmp_path, "weight,color,fruit\n1,red,apple\n", "test.csv")
    with pytest.raises(DataError, match="other columns than") as caught:
        csv(_file(tmp_path, FRUIT), target="fruit", test_path=test)
    assert "lacks colour; also has color" in str(caught.value)


def test_one_column_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no input columns are left"):
        csv(_file(tmp_path, "y\n1\n2\n"), target="y")


def test_suspicions_are_noted(tmp_path: Path) -> None:
    rows = "".join(f"id{n},{n % 2},{n % 3}\n" for n in range(60)) + "id0,0,0\n"
    source = csv(_file(tmp_path, "id,x,y\n" + rows), target="y", task="classification")
    assert "1 rows repeat the inputs of another" in source.notes["copies"]
    assert "in id: consider drop=[…]" in source.notes["identifiers?"]


def test_columns_in_another_order_in_the_test_file_are_put_right(tmp_path: Path) -> None:
    test = _file(tmp_path, "fruit,weight,colour\napple,99,red\n", "test.csv")
    source = csv(_file(tmp_path, FRUIT), target="fruit", test_path=test)
    assert source.test_inputs is not None
    assert source.test_inputs[0].tolist() == [[99.0]]
    assert source.test_inputs[1].tolist() == [[2]]


def _adult_like(root: Path, columns: int = 14) -> None:
    folder = root / "tabular"
    folder.mkdir(parents=True)
    names = "".join(f"col-{chr(97 + n)}: {'continuous.' if n < 6 else 'A, B.'}\n" for n in range(columns))
    _file(folder, names, "adult.names")
    cells = ", ".join(["1"] * 6 + ["A"] * 8)
    _file(folder, f"{cells}, <=50K\n{cells}, >50K\n" * 2, "adult.data")
    _file(folder, f"|1x3 Cross validator\n{cells}, <=50K.\n{cells}, >50K.\n", "adult.test")


def test_the_odd_form_of_adults_test_file_is_understood(tmp_path: Path) -> None:
    _adult_like(tmp_path)
    source = adult(root=tmp_path)
    assert source.task.class_names == ("<=50K", ">50K")
    assert source.test_targets is not None
    assert source.test_targets.tolist() == [0, 1]
    assert source.inputs[0].shape == (4, 6)
    assert source.inputs[1].shape == (4, 8)


def test_a_damaged_description_of_adult_is_refused(tmp_path: Path) -> None:
    _adult_like(tmp_path, columns=13)
    with pytest.raises(DataError, match="not the description of the Adult columns") as caught:
        adult(root=tmp_path)
    assert "13 columns" in str(caught.value)


@pytest.mark.parametrize("entry", [adult, california_housing, wine_quality, protein])
def test_missing_files_are_named(tmp_path: Path, entry: object) -> None:
    with pytest.raises(DataError, match="the data are not there") as caught:
        entry(root=tmp_path)
    assert str(tmp_path / "tabular") in str(caught.value)


def test_wine_is_read_with_semicolons_as_distributed(tmp_path: Path) -> None:
    (tmp_path / "tabular").mkdir()
    rows = '"acidity";"alcohol";"quality"\n' + "7.4;9.4;5\n7.8;9.8;6\n7.4;9.4;5\n"
    for shade in ("red", "white"):
        _file(tmp_path / "tabular", rows, f"winequality-{shade}.csv")
    source = wine_quality(root=tmp_path)
    assert source.inputs[0].shape == (6, 2)
    assert source.inputs[1].shape == (6, 1)
    assert source.groups is not None
    assert source.groups[0] == source.groups[2]
    assert source.groups[0] != source.groups[3]  # the same measurements of another colour
    assert source.groups.unique().numel() == 4
    assert wine_quality(root=tmp_path, color="red").task.input_kind == "vector"


@pytest.mark.parametrize("settings", [{"color": "rose"}, {"task": "ranking"}])
def test_unknown_choices_of_wine_are_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="of wine_quality"):
        wine_quality(**settings)
    with pytest.raises(ConfigError, match="derived, raw"):
        california_housing(features="both")


@pytest.mark.data
def test_adult(data_root: Path) -> None:
    source = adult(root=data_root)
    assert source.test_targets is not None
    assert (len(source.targets), len(source.test_targets)) == (32_561, 16_281)
    shares = [100 * float(y.double().mean()) for y in (source.targets, source.test_targets)]
    assert [round(share, 1) for share in shares] == [24.1, 23.6]
    assert source.task.input_shape == (6,)
    assert len(source.task.cardinalities) == 8


@pytest.mark.data
def test_adults_cells_are_those_of_the_file(data_root: Path) -> None:
    source = adult(root=data_root)
    with (data_root / "tabular/adult.data").open() as file:
        rows = [row for row in std_csv.reader(file, skipinitialspace=True) if row]
    assert source.inputs[0][:, 0].tolist() == [float(row[0]) for row in rows]
    known = sorted({row[1] for row in rows} - {"?"})
    assert source.inputs[1][:, 0].tolist() == [known.index(row[1]) + 1 if row[1] != "?" else 0 for row in rows]
    assert source.targets.tolist() == [int(row[-1] == ">50K") for row in rows]


@pytest.mark.data
def test_california_least_squares_and_missing_values(data_root: Path) -> None:
    source = california_housing(root=data_root)
    x = np.column_stack([source.inputs[0].double().numpy(), np.ones(len(source.targets))])
    y = source.targets[:, 0].double().numpy()
    x[:, :-1] = (x[:, :-1] - x[:, :-1].mean(0)) / x[:, :-1].std(0)
    residual = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    assert round(1 - residual.var() / y.var(), 3) == 0.606
    assert int((source.targets == 500_001).sum()) == 965
    missing = california_housing(root=data_root, features="raw", missing=True)
    assert int(missing.inputs[0].isnan().sum()) == 207
    assert int(missing.inputs[0][:, 4].isnan().sum()) == 207
    assert missing.task.cardinalities == (6,)
    assert int(california_housing(root=data_root, missing=True).inputs[0].isnan().sum()) == 207


@pytest.mark.data
def test_wine_and_protein_sizes_and_copies(data_root: Path) -> None:
    red, white = wine_quality(root=data_root, color="red"), wine_quality(root=data_root, color="white")
    assert (len(red.targets), len(white.targets)) == (1_599, 4_898)
    both = wine_quality(root=data_root, task="classification")
    assert both.task.class_names == tuple(map(str, range(3, 10)))
    assert both.groups is not None
    rows = torch.cat([both.inputs[0].double(), both.inputs[1].double()], dim=1)
    assert both.groups.unique().numel() == rows.unique(dim=0).shape[0]
    source = protein(root=data_root)
    assert source.inputs[0].shape == (45_730, 9)
    np.testing.assert_allclose(source.targets[:2, 0].numpy(), [17.284, 6.021], rtol=1e-6)


@pytest.mark.data
def test_copies_of_a_wine_never_stand_in_two_splits(data_root: Path) -> None:
    bundle = load("wine_quality", root=data_root, limit=None)
    rows = []
    for _, split in bundle.splits():
        x, c = split.gather(torch.arange(len(split))).inputs
        rows.append({row.numpy().tobytes() for row in torch.cat([x, c.float()], dim=1)})
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
