from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mlkit.data import load
from mlkit.data.series import read_ts, ucr_npz, ucr_ts
from mlkit.errors import DataError

TS = """#A comment
@problemName Toy
@timeStamps false
@univariate false
@classLabel true up down
@data
1,2,3:4,5,6:up

7,8:9,10:down
"""
SIZES = {
    "japanese_vowels": (270, 370, 12, 29, 9),
    "basic_motions": (40, 40, 6, 100, 4),
    "gun_point": (50, 150, 1, 150, 2),
    "italy_power_demand": (67, 1029, 1, 24, 2),
    "arrow_head": (36, 175, 1, 251, 3),
}
FOLDERS = {
    "japanese_vowels": "JapaneseVowels",
    "basic_motions": "BasicMotions",
    "gun_point": "GunPoint",
    "italy_power_demand": "ItalyPowerDemand",
    "arrow_head": "ArrowHead",
}


def _npz(folder: Path, **changes: object) -> Path:
    random = np.random.default_rng(0)
    content: dict[str, object] = {"classes": np.array(["up", "down"])}
    for part, n in (("train", 20), ("test", 6)):
        content[f"x_{part}"] = random.normal(size=(n, 2, 7)).astype(np.float32)
        content[f"len_{part}"] = random.integers(3, 8, n)
        content[f"y_{part}"] = np.arange(n) % 2
    path = folder / "toy.npz"
    np.savez(path, **{**content, **changes})
    return path


def _ts(folder: Path, text: str = TS, name: str = "Toy_TRAIN.ts") -> Path:
    (folder / name).write_text(text)
    return folder / name


def _refusal(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


def test_series_of_unequal_lengths_are_padded_with_zeros(tmp_path: Path) -> None:
    x = np.full((4, 2, 5), np.nan, dtype=np.float32)
    lengths = np.array([5, 1, 3, 2])
    for row, length in enumerate(lengths):
        x[row, :, :length] = row + 1
    path = _npz(tmp_path, x_train=x, len_train=lengths, y_train=np.array([0, 1, 0, 1]))
    source = ucr_npz(path)
    values, given = source.inputs
    assert source.task.has_lengths
    assert values.shape == (4, 7, 2)  # the longest series is one of the test part
    assert given.tolist() == lengths.tolist()
    for row, length in enumerate(lengths):
        assert torch.equal(values[row, :length], torch.full((int(length), 2), row + 1.0))
        assert torch.equal(values[row, length:], torch.zeros(7 - int(length), 2))


def test_padding_is_in_no_statistic_and_stays_zero(tmp_path: Path) -> None:
    x = np.full((20, 1, 6), 1e6, dtype=np.float32)
    lengths = np.arange(20) % 5 + 1
    for row, length in enumerate(lengths):
        x[row, 0, :length] = np.random.default_rng(row).normal(3, 2, length)
    path = _npz(
        tmp_path,
        x_train=x,
        len_train=lengths,
        y_train=np.arange(20) % 2,
        x_test=x,
        len_test=lengths,
        y_test=np.arange(20) % 2,
    )
    from mlkit.data import finish

    bundle = finish(ucr_npz(path), val_fraction=0.2)
    values, given = bundle.train.gather(torch.arange(len(bundle.train))).inputs
    inside = torch.arange(values.shape[1])[None, :] < given[:, None]
    torch.testing.assert_close(values[inside].mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(values[inside].std(correction=0), torch.tensor(1.0), atol=1e-5, rtol=0)
    assert values[~inside].abs().max() == 0


def test_series_of_one_length_have_no_lengths(tmp_path: Path) -> None:
    source = ucr_npz(_npz(tmp_path, len_train=np.full(20, 7), len_test=np.full(6, 7)))
    assert not source.task.has_lengths
    assert len(source.inputs) == 1
    assert source.name == "toy"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"len_train": np.arange(20)}, ["a length that cannot be right", "0 to 19", "1 to 7"]),
        ({"y_test": np.arange(5)}, ["the test part: shapes that do not fit each other", "y (5,)"]),
        ({"x_train": np.zeros((20, 7), np.float32)}, ["the train part: shapes", "(N, channels, length)"]),
        (
            {"x_train": np.zeros((0, 2, 7)), "len_train": np.zeros(0, int), "y_train": np.zeros(0, int)},
            ["at least one"],
        ),
        ({"y_train": np.linspace(0, 1, 20)}, ["not whole ones", "y float64"]),
        ({"x_test": np.full((6, 2, 7), "a")}, ["not numbers"]),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object], parts: list[str]) -> None:
    path = _npz(tmp_path, **changes)
    message = _refusal(lambda: ucr_npz(path))
    for part in [str(path), *parts]:
        assert part in message


def test_missing_arrays_damage_and_pickles_are_refused(tmp_path: Path) -> None:
    path = _npz(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    message = _refusal(lambda: ucr_npz(path))
    assert "the file cannot be read" in message
    assert f"{len(whole) - 200:,} bytes" in message
    np.savez(path, x_train=np.zeros(3))
    assert "no len_train, y_train, x_test" in _refusal(lambda: ucr_npz(path))
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "the file cannot be read" in _refusal(lambda: ucr_npz(path))
    assert "allow_pickle=False" in _refusal(lambda: ucr_npz(_npz(tmp_path, classes=np.array([{}, 1], dtype=object))))
    assert "the data file is not there" in _refusal(lambda: ucr_npz(tmp_path / "none.npz"))


def test_values_that_are_not_finite_and_labels_out_of_range_are_refused(tmp_path: Path) -> None:
    from mlkit.data import finish

    x = np.zeros((20, 2, 7), np.float32)
    x[4, 1, 2] = np.nan
    message = _refusal(lambda: finish(ucr_npz(_npz(tmp_path, x_train=x, len_train=np.full(20, 7)))))
    assert "nan at series 4, step 2, channel 1" in message
    assert "label out of range" in _refusal(lambda: finish(ucr_npz(_npz(tmp_path, y_train=np.full(20, 2)))))


def test_the_text_format(tmp_path: Path) -> None:
    (series, labels), classes = read_ts(_ts(tmp_path))
    assert classes == ("up", "down")
    assert labels.tolist() == [0, 1]
    assert series[0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert series[1].tolist() == [[7, 9], [8, 10]]
    source = ucr_ts(_ts(tmp_path), _ts(tmp_path, name="Toy_TEST.ts"))
    assert source.name == "Toy"
    assert source.inputs[1].tolist() == [3, 2]
    assert source.inputs[0].shape == (2, 3, 2)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("7,8:9,10:down", "7,8:9,10:dwn", ["line 9: unknown class", "dwn", "did you mean 'down'?"]),
        ("7,8:9,10:down", "7,8:9:down", ["line 9: channels of different lengths", "1, 2"]),
        ("7,8:9,10:down", "7,8:down", ["line 9: wrong number of channels"]),
        ("7,8:9,10:down", "7,?:9,10:down", ["line 9, channel 1: not a number", "'?'"]),
        ("7,8:9,10:down", "down", ["line 9: channels of different lengths", "no channels"]),
        ("@classLabel true up down", "@targetLabel true", ["not a .ts file of series with classes", "@targetLabel"]),
        ("@timeStamps false", "@timeStamps true", ["not a .ts file of series with classes"]),
        ("@data", "", ["not a .ts file", "'@data'"]),
    ],
)
def test_damaged_text_is_refused_with_the_line(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    path = _ts(tmp_path, TS.replace(old, new))
    message = _refusal(lambda: read_ts(path))
    for part in [str(path), *parts]:
        assert part in message


def test_a_header_without_series_is_refused(tmp_path: Path) -> None:
    assert "no series after '@data'" in _refusal(lambda: read_ts(_ts(tmp_path, TS[: TS.index("1,2")])))


def test_two_parts_of_different_data_sets_are_refused(tmp_path: Path) -> None:
    other = _ts(tmp_path, TS.replace("up", "left"), "Other_TEST.ts")
    message = _refusal(lambda: ucr_ts(_ts(tmp_path), other))
    assert "other classes or channels" in message
    assert "left, down" in message


def test_missing_files_of_the_catalogue_are_named(tmp_path: Path) -> None:
    message = _refusal(lambda: load("gun_point", root=tmp_path))
    assert str(tmp_path / "timeseries/GunPoint/GunPoint.npz") in message


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_known_sizes(data_root: Path, name: str) -> None:
    train, test, channels, steps, classes = SIZES[name]
    bundle = load(name, root=data_root)
    assert len(bundle.train) + len(bundle.val) == train
    assert bundle.test is not None
    assert len(bundle.test) == test
    assert bundle.task.input_shape == (steps, channels)
    assert bundle.task.num_outputs == classes
    assert bundle.task.has_lengths == (name == "japanese_vowels")


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_arrays_and_text_of_the_archive_are_the_same(data_root: Path, tmp_path: Path, name: str) -> None:
    folder = FOLDERS[name]
    here = tmp_path / "timeseries" / folder
    here.mkdir(parents=True)
    for part in ("TRAIN", "TEST"):
        file = f"{folder}_{part}.ts"
        (here / file).symlink_to(data_root / "timeseries" / folder / file)
    arrays, text = load(name, root=data_root), load(name, root=tmp_path)
    assert arrays.fingerprint == text.fingerprint
    assert arrays.task == text.task


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "error"),
    [("gun_point", 8.67), ("italy_power_demand", 4.47), ("arrow_head", 20.0), ("basic_motions", 40.0)],
)
def test_one_nearest_neighbour_has_the_published_error(data_root: Path, name: str, error: float) -> None:
    folder = FOLDERS[name]
    source = ucr_npz(data_root / "timeseries" / folder / f"{folder}.npz")
    assert source.test_inputs is not None
    train, test = (x.flatten(1).double() for x in (source.inputs[0], source.test_inputs[0]))
    nearest = torch.cdist(test, train, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)
    found = 100 * float((source.targets[nearest] != source.test_targets).double().mean())
    assert round(found, 2) == error
