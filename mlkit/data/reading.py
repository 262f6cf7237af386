"""Text files read with care: what cannot be read is refused with the file, the line and the column.

Not here: what the columns mean (`mlkit.data.tables`, `mlkit.data.forecasting`).
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlkit.data.load import find_root
from mlkit.errors import ConfigError, DataError, Problem, did_you_mean

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL")
_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_LINES = 50
# Everything is computed in float32; a larger number would silently become infinite.
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Table:
    """The cells of a delimited file as text, stripped of surrounding blanks.

    Args:
        path: the file.
        columns: the cells of each column by its name, in the order of the file.
        lines: line of the file that each row stands on, from 1.
    """

    path: Path
    columns: Mapping[str, Sequence[str]]
    lines: Sequence[int]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int, column: str) -> str:
        """Where a cell stands, for messages."""
        return f"{self.path}, line {self.lines[row]}, column '{column}'"

    def select(self, rows: Sequence[int]) -> Table:
        """The given rows, in the given order."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return Table(self.path, columns, [self.lines[row] for row in rows])


def catalogue_file(root: Path | str | None, *parts: str) -> Path:
    """A file, or folder, of the catalogue.

    Args:
        root: folder of the data files; see `mlkit.data.load.find_root`.
        parts: the way from there.

    Raises:
        DataError: it is not there.
    """
    path = find_root(root).joinpath(*parts)
    if not path.exists():
        raise missing_data(parts[-1], root, *parts, reason="mlkit does not download this data set")
    return path


def missing_data(what: str, root: Path | str | None, *parts: str, reason: str) -> DataError:
    """The complaint about files of the catalogue that are not there: which, where they were looked for, and why there.

    Args:
        what: the data set, or the file.
        root: as it was given; see `mlkit.data.load.find_root`.
        parts: the way from the root.
        reason: why they are not downloaded.
    """
    if root is not None and str(root):
        origin = "data.root"
    elif os.environ.get("MLKIT_DATA"):
        origin = "the environment variable MLKIT_DATA"
    else:
        origin = "the default, since neither data.root nor MLKIT_DATA is set"
    return DataError(
        f"{what}: the data are not there",
        received=f"no {find_root(root).joinpath(*parts)} (the root is {origin}); {reason}",
        allowed=f"a root folder that holds {'/'.join(parts)}",
        todo="set data.root, or the environment variable MLKIT_DATA, to that folder; data=digits needs no files",
    )


def read_text(path: Path | str, *, encoding: str = "utf-8") -> str:
    r"""The text of a file, with line ends as ``\n`` and without a byte-order mark.

    Args:
        path: the file.
        encoding: how it is encoded; ``"latin-1"`` for many older files.

    Raises:
        DataError: there is no such file, it cannot be read, is empty, or is not text; with the line and the byte.
    """
    content = _read_bytes(Path(path).expanduser())
    try:
        text = content.decode("utf-8-sig" if encoding.lower().replace("_", "-") == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not {encoding} text",
            received=f"byte 0x{content[error.start]:02x} at position {error.start}",
            allowed=f"text encoded as {encoding}",
            todo=f"save the file as UTF-8, or give its encoding, such as encoding='{_likely_encoding(content)}'",
        ) from None
    except UnicodeError as error:  # UTF-16 without its mark
        raise DataError(f"{path}: not {encoding} text", received=str(error), todo="give the encoding") from None
    except LookupError:
        raise DataError("unknown encoding", received=repr(encoding), allowed="utf-8, latin-1, cp1252, …") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, line {line}: a zero byte, so this is not a text file", todo="check the file's format")
    if not text.strip():
        raise DataError(f"{path}: the file is empty", received=f"{len(content)} bytes", todo="check that it was saved")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_table(
    path: Path | str,
    *,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
    comment: str | None = None,
    encoding: str = "utf-8",
) -> Table:
    """The cells of a delimited text file.

    Args:
        path: the file; its first line names the columns unless ``names`` does.
        delimiter: what separates cells; None finds out (comma, semicolon, tab, bar or blanks); ``" "`` stands for any
            run of blanks, and then quotes have no meaning.
        names: names of the columns, for a file without a header line.
        comment: lines that start with this text are left out.
        encoding: see `read_text`.

    Raises:
        DataError: the file cannot be read, has no header or no rows, a row of another width, or a damaged quotation.
        ConfigError: ``delimiter`` is not one character.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ConfigError("not a delimiter", received=repr(delimiter), allowed="one character, such as ',' or ';'")
    path = Path(path).expanduser()
    text = read_text(path, encoding=encoding)
    delimiter = delimiter or sniff_delimiter(text, comment=comment)
    rows = _rows(path, text, delimiter, comment)
    header = list(names) if names is not None else _header(path, next(rows, (0, []))[1])
    _check_distinct(path, header)
    lines, cells = _rectangle(path, rows, header)
    stripped = [list(map(str.strip, column)) for column in zip(*cells, strict=True)]
    return Table(path, dict(zip(header, stripped, strict=True)), lines)


def sniff_delimiter(text: str, *, comment: str | None = None) -> str:
    r"""What separates the cells: the candidate that gives most of the first lines one and the same width.

    >>> sniff_delimiter("a;b\n1,5;2,5\n")
    ';'
    """
    lines = [line for line in text.split("\n", _SNIFFED_LINES)[:_SNIFFED_LINES] if line.strip()]
    lines = [line for line in lines if comment is None or not line.startswith(comment)]

    def score(delimiter: str) -> tuple[float, int]:
        try:
            widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
        except csv.Error:  # a cell without end; the reading proper says where
            return (0.0, 1)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        return (count / max(len(lines), 1), width) if width > 1 else (0.0, 1)

    best = max(_DELIMITERS, key=score)
    if score(best)[0] == 0.0 and len({len(line.split()) for line in lines}) == 1 and len(lines[0].split()) > 1:
        return " "
    return best


def parse_numbers(
    table: Table, column: str, *, missing: Collection[str] = MISSING
) -> tuple[NDArray[np.float64], list[int]]:
    """A column as numbers, NaN where missing, and the rows that hold neither a number nor a missing value.

    Infinite numbers, numbers beyond float32 and Python's ``1_000`` do not count as numbers.
    """
    cells = table.columns[column]
    value = {text: _number(text, missing) for text in set(cells)}  # once a distinct text: categories are few
    parsed = [value[text] for text in cells]
    bad = [row for row, number in enumerate(parsed) if number is None]
    return np.array([math.nan if number is None else number for number in parsed]), bad


def junk_problem(table: Table, column: str, bad: Sequence[int], *, todo: str) -> Problem:
    """The complaint about cells of a numeric column that are not numbers; the first one is named."""
    others = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
    return Problem(
        f"{table.place(bad[0], column)}: not a number",
        received=f"{table.columns[column][bad[0]]!r}{others}",
        allowed="finite numbers such as 3.14 or 1e-3",
        todo=todo,
    )


def unknown_column(table: Table, role: str, name: str) -> Problem:
    """The complaint about a column that is not in the file, with the closest name that is."""
    return Problem(
        f"{table.path}: there is no {role} column of that name",
        received=repr(name),
        allowed=", ".join(table.columns),
        todo=did_you_mean(name, table.columns) or "choose one of these columns",
    )


def _likely_encoding(content: bytes) -> str:
    return "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            "the data file is not there",
            received=str(path),
            todo=did_you_mean(path.name, siblings) or "check the path, which is relative to the current folder",
        ) from None
    except OSError as error:
        raise DataError("the data file cannot be read", received=f"{path}: {error.strerror}") from None


def _rows(path: Path, text: str, delimiter: str, comment: str | None) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row that is neither blank nor a comment."""
    if delimiter == " " or '"' not in text:  # nothing to unquote: several times faster
        separator = None if delimiter == " " else delimiter
        rows: Iterable[tuple[int, list[str]]] = (
            (number, line.split(separator)) for number, line in enumerate(text.split("\n"), start=1)
        )
    else:
        rows = _quoted_rows(path, text, delimiter)
    for line, row in rows:
        is_blank = not row or (len(row) == 1 and not row[0].strip())
        if not is_blank and not (comment is not None and row[0].startswith(comment)):
            yield line, row


def _quoted_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: a damaged quotation",
            received=str(error),
            allowed='quotes in pairs around a whole cell, doubled within it: "a ""b"" c"',
            todo="correct the quotes on this line; one that is never closed takes in the rest of the file",
        ) from None


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() or f"column{number}" for number, cell in enumerate(cells, start=1)]
    if not names:
        raise DataError(f"{path}: only comments, no columns", todo="check that the whole file was copied")
    if all(_number(name, ()) is not None for name in names):
        raise DataError(
            f"{path}, line 1: numbers where the column names should be",
            received=", ".join(names[:6]) + (", …" if len(names) > 6 else ""),
            allowed="a header line",
            todo="add one to the file, or give names=[…]",
        )
    return names


def _check_distinct(path: Path, names: Sequence[str]) -> None:
    double = [name for name, count in Counter(names).items() if count > 1]
    if double:
        raise DataError(
            f"{path}: two columns of one name",
            received=", ".join(map(repr, double)),
            allowed="a name of its own for each column",
            todo="rename one of them in the header line, or in names=[…] where that is given",
        )


def _rectangle(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: Sequence[str]
) -> tuple[list[int], list[list[str]]]:
    lines, cells = [], []
    for line, row in rows:
        lines.append(line)
        cells.append(row)
    if not cells:
        raise DataError(f"{path}: there are no rows below the header", todo="check that the whole file was copied")
    ragged = [number for number, row in enumerate(cells) if len(row) != len(header)]
    if ragged:
        first = ragged[0]
        others = f"; {len(ragged) - 1:,} other lines differ too" if len(ragged) > 1 else ""
        last = " (the file may be cut off here)" if first == len(cells) - 1 else ""
        raise DataError(
            f"{path}, line {lines[first]}: wrong number of cells{last}",
            received=f"{len(cells[first])} cells{others}",
            allowed=f"{len(header)} cells: {', '.join(header)}",
            todo="correct the line, or give the delimiter of the file, or as many names as there are columns",
        )
    return lines, cells


def _number(text: str, missing: Collection[str]) -> float | None:
    if text in missing:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) <= _LARGEST and "_" not in text else None
