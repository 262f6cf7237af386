"""Time series to classify as a whole: the archives' own formats, and the sets of the catalogue.

Not here: forecasting what comes next (`mlkit.data.forecasting`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlkit.data.load import find_root
from mlkit.data.reading import catalogue_file, read_text
from mlkit.data.source import Source
from mlkit.errors import DataError, did_you_mean
from mlkit.task import Task

_KEYS = ("x_train", "len_train", "y_train", "x_test", "len_test", "y_test", "classes")


def japanese_vowels(*, root: Path | str | None = None) -> Source:
    """Japanese vowels: which of 9 men speaks? 12 channels, 7 to 29 steps; 270 training and 370 test utterances.

    Source: Kudo, Toyama and Shimbo 1999, "Multidimensional curve classification using passing-through regions".
    """
    return _catalogue("JapaneseVowels", "japanese_vowels", root)


def basic_motions(*, root: Path | str | None = None) -> Source:
    """Basic motions: standing, running, walking or badminton? 6 channels of a watch, 100 steps; 40 and 40 series.

    Source: UEA archive, Bagnall et al. 2018, arXiv:1811.00075.
    """
    return _catalogue("BasicMotions", "basic_motions", root)


def gun_point(*, root: Path | str | None = None) -> Source:
    """Gun or point? The height of a hand that draws a gun or only points, 150 steps; 50 and 150 series, 2 classes.

    Source: UCR archive, Dau et al. 2018, arXiv:1810.07758.
    """
    return _catalogue("GunPoint", "gun_point", root)


def italy_power_demand(*, root: Path | str | None = None) -> Source:
    """Italy's power demand of a day, 24 hours: from October to March, or April to September? 67 and 1,029 days.

    Source: UCR archive, Dau et al. 2018, arXiv:1810.07758.
    """
    return _catalogue("ItalyPowerDemand", "italy_power_demand", root)


def arrow_head(*, root: Path | str | None = None) -> Source:
    """Arrow heads: the outline as angles, 251 steps; 36 and 175 projectile points of 3 cultures.

    Source: UCR archive, Dau et al. 2018, arXiv:1810.07758.
    """
    return _catalogue("ArrowHead", "arrow_head", root)


def ucr_npz(path: Path | str, *, name: str | None = None) -> Source:
    """A data set of the UCR and UEA archives, kept as arrays.

    Args:
        path: an npz file with ``x_train`` float ``(N, channels, length)`` (anything after the end), ``len_train``
            ``(N,)``, ``y_train`` 0 to classes - 1 ``(N,)``, the same for ``test``, and ``classes``, their names.
        name: what the data set is called; the file's name without its suffix when left out.

    Returns:
        Series as ``(N, T, C)`` float32 with zeros after the end, then, where they differ, the lengths.

    Raises:
        DataError: the file is not there, is damaged, or holds something else.
    """
    path = Path(path).expanduser()
    arrays = _read_npz(path)
    parts = {}
    for part in ("train", "test"):
        x, lengths, labels = (arrays[f"{key}_{part}"] for key in ("x", "len", "y"))
        _check_part(f"{path}: the {part} part", x, lengths, labels)
        parts[part] = ([series[:, :n].T for series, n in zip(x, lengths, strict=True)], labels.astype(np.int64))
    return _source(name or path.stem, parts, tuple(map(str, arrays["classes"])), origin=str(path))


def ucr_ts(train_path: Path | str, test_path: Path | str, *, name: str | None = None) -> Source:
    """A data set of the UCR and UEA archives in their text format, ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``.

    Args:
        train_path: the training part.
        test_path: the test part, of the same classes and channels.
        name: what the data set is called; the file's name up to ``_TRAIN`` when left out.

    Returns:
        As `ucr_npz`.

    Raises:
        DataError: a file is not there or does not keep to the format; with file and line.
    """
    train, classes = read_ts(train_path)
    test, test_classes = read_ts(test_path)
    if classes != test_classes or train[0][0].shape[1] != test[0][0].shape[1]:
        raise DataError(
            f"{test_path}: other classes or channels than {train_path}",
            received=f"classes {', '.join(test_classes)}; {test[0][0].shape[1]} channels",
            allowed=f"classes {', '.join(classes)}; {train[0][0].shape[1]} channels",
            todo="give the two files of one data set",
        )
    stem = Path(train_path).stem
    return _source(name or stem.removesuffix("_TRAIN"), {"train": train, "test": test}, classes, origin=str(train_path))


def read_ts(path: Path | str) -> tuple[tuple[list[NDArray[np.float32]], NDArray[np.int64]], tuple[str, ...]]:
    """The series, each ``(T, C)``, the class of each, and the names of the classes of a ``.ts`` file.

    Raises:
        DataError: the file is not there or does not keep to the format; with file and line.
    """
    lines = read_text(path).split("\n")
    header = [line.split() for line in lines if line.startswith("@")]
    words = {line[0].lower(): line[1:] for line in header}
    classes = tuple(words.get("@classlabel", [])[1:])
    if "@data" not in words or not classes or words.get("@timestamps", ["false"])[0].lower() == "true":
        raise DataError(
            f"{path}: not a .ts file of series with classes",
            received=f"header lines {', '.join(line[0] for line in header) or 'none'}",
            allowed="a header with '@timeStamps false', '@classLabel true NAMES…' and '@data'",
        )
    begin = next(number for number, line in enumerate(lines) if line.lower().startswith("@data")) + 1
    series: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for number, line in enumerate(lines[begin:], start=begin + 1):
        if not line.strip() or line.startswith("#"):
            continue
        *channels, label = line.strip().split(":")
        if label not in classes:
            todo = did_you_mean(label, classes) or "the class stands after the last colon of the line"
            raise DataError(
                f"{path}, line {number}: unknown class", received=label, allowed=", ".join(classes), todo=todo
            )
        series.append(_channels(f"{path}, line {number}", channels, like=series[0] if series else None))
        labels.append(classes.index(label))
    if not series:
        raise DataError(f"{path}: there are no series after '@data'", todo="check that the whole file was copied")
    return (series, np.array(labels, dtype=np.int64)), classes


def _catalogue(folder: str, name: str, root: Path | str | None) -> Source:
    """The npz file, or the two text files of the archive."""
    place = find_root(root) / "timeseries" / folder
    texts = [place / f"{folder}_{part}.ts" for part in ("TRAIN", "TEST")]
    arrays = place / f"{folder}.npz"
    if not arrays.exists() and all(text.exists() for text in texts):
        source = ucr_ts(texts[0], texts[1], name=name)
    else:
        source = ucr_npz(catalogue_file(root, "timeseries", folder, arrays.name), name=name)
    return replace(source, notes={**source.notes, "source": f"UCR and UEA archives, {folder}; exact values"})


def _read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """All arrays of the file; nothing in it is ever unpickled."""
    if not path.is_file():
        raise DataError("the data file is not there", received=str(path), todo="check the path")
    try:
        # Opened here, since NumPy leaves a file open that turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {key: content[key] for key in content.files}
    except Exception as error:  # zip, zlib, struct, value and end-of-file errors; a single array is no context
        raise DataError(
            f"{path}: the file cannot be read",
            received=f"{path.stat().st_size:,} bytes; {type(error).__name__}: {error}",
            allowed="a whole npz file of plain arrays",
            todo="it is damaged or was cut off: copy it again",
        ) from None
    lacking = [key for key in _KEYS if key not in arrays]
    if lacking:
        raise DataError(f"{path}: arrays are missing", received=f"no {', '.join(lacking)}", allowed=", ".join(_KEYS))
    return arrays


def _check_part(where: str, x: NDArray[np.generic], lengths: NDArray[np.generic], labels: NDArray[np.generic]) -> None:
    if x.ndim != 3 or not len(x) or lengths.shape != (len(x),) or labels.shape != (len(x),):
        raise DataError(
            f"{where}: shapes that do not fit each other",
            received=f"x {x.shape}, len {lengths.shape}, y {labels.shape}",
            allowed="(N, channels, length), (N,), (N,), with at least one series",
        )
    if x.dtype.kind not in "fiu" or lengths.dtype.kind not in "iu" or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: not numbers, or not whole ones",
            received=f"x {x.dtype}, len {lengths.dtype}, y {labels.dtype}",
            allowed="x of floats, len and y of whole numbers",
        )
    if not 1 <= int(lengths.min()) <= int(lengths.max()) <= x.shape[2]:
        raise DataError(
            f"{where}: a length that cannot be right",
            received=f"{int(lengths.min())} to {int(lengths.max())}",
            allowed=f"1 to {x.shape[2]}",
        )


def _channels(where: str, channels: Sequence[str], *, like: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """One series ``(T, C)`` from the text of its channels."""
    values = []
    for number, text in enumerate(channels, start=1):
        try:
            values.append(np.array(text.split(","), dtype=np.float32))
        except ValueError:
            bad = next((cell for cell in text.split(",") if not _is_number(cell)), text)
            raise DataError(
                f"{where}, channel {number}: not a number", received=repr(bad), allowed="numbers between commas"
            ) from None
    steps = sorted({len(channel) for channel in values})
    if len(steps) != 1:
        raise DataError(f"{where}: channels of different lengths", received=", ".join(map(str, steps)) or "no channels")
    if like is not None and len(values) != like.shape[1]:
        raise DataError(f"{where}: wrong number of channels", received=len(values), allowed=like.shape[1])
    return np.stack(values, axis=1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _source(
    name: str,
    parts: dict[str, tuple[list[NDArray[np.float32]], NDArray[np.int64]]],
    classes: tuple[str, ...],
    *,
    origin: str,
) -> Source:
    train, test = parts["train"], parts["test"]
    lengths = [len(series) for series in (*train[0], *test[0])]
    longest, has_lengths = max(lengths), len(set(lengths)) > 1
    channels = train[0][0].shape[1]
    steps = f"{min(lengths)} to {longest}" if has_lengths else str(longest)
    return Source(
        name=name,
        task=Task(
            "classification",
            "series",
            input_shape=(longest, channels),
            num_outputs=len(classes),
            class_names=classes,
            has_lengths=has_lengths,
        ),
        inputs=_inputs(train[0], longest, has_lengths=has_lengths),
        targets=torch.from_numpy(train[1]),
        test_inputs=_inputs(test[0], longest, has_lengths=has_lengths),
        test_targets=torch.from_numpy(test[1]),
        standardize="channel",
        notes={"source": origin, "series": f"{channels} channels, {steps} steps"},
    )


def _inputs(series: Iterable[NDArray[np.float32]], longest: int, *, has_lengths: bool) -> tuple[Tensor, ...]:
    """Float32 ``(N, T, C)`` with zeros after the end of each series, and the int64 lengths if asked for."""
    items = list(series)
    padded = np.zeros((len(items), longest, items[0].shape[1]), dtype=np.float32)
    for number, item in enumerate(items):
        padded[number, : len(item)] = item
    x = torch.from_numpy(padded)
    return (x, torch.tensor([len(item) for item in items])) if has_lengths else (x,)
