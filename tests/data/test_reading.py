from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest

from mlkit.data.reading import catalogue_file, parse_numbers, read_table, read_text, sniff_delimiter
from mlkit.errors import ConfigError, DataError


def _file(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _refusal(folder: Path, content: str | bytes, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        read_table(_file(folder, content), **settings)
    return str(caught.value)


def test_a_byte_order_mark_and_windows_line_ends_are_not_content(tmp_path: Path) -> None:
    table = read_table(_file(tmp_path, b"\xef\xbb\xbfage,city\r\n1,Rome\r\n2,Oslo\r\n"))
    assert dict(table.columns) == {"age": ["1", "2"], "city": ["Rome", "Oslo"]}


def test_quoted_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    rows = [["a, b", 'say "x"', "1"], ["two\nlines", "", "2"], ["plain", "é", "3"]]
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["text", "other", "n"], *rows])
    table = read_table(_file(tmp_path, buffer.getvalue()))
    assert [list(row) for row in zip(*table.columns.values(), strict=True)] == rows
    assert list(table.lines) == [2, 3, 5]  # the second row takes up two lines


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\nx y\tz\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ("a b\n1  2\n", " "),
        ("a\n1\n", ","),
        ('"a;b",c\n"d;e",f\n', ","),
    ],
)
def test_the_delimiter_is_found(text: str, delimiter: str) -> None:
    assert sniff_delimiter(text) == delimiter


def test_blanks_around_cells_blank_lines_and_comments_are_left_out(tmp_path: Path) -> None:
    table = read_table(_file(tmp_path, "|made by hand\n a , b \n\n 1, x \n   \n|end\n2,y"), comment="|", delimiter=",")
    assert dict(table.columns) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert table.place(1, "b") == f"{table.path}, line 7, column 'b'"


def test_both_ways_of_splitting_give_the_same_table(tmp_path: Path) -> None:
    plain = read_table(_file(tmp_path, "a,b\n1,x\n2,y\n"))
    quoted = read_table(_file(tmp_path, '"a",b\n1,"x"\n2,y\n'))
    assert (plain.columns, plain.lines) == (quoted.columns, quoted.lines)


def test_a_column_without_a_name_gets_one(tmp_path: Path) -> None:
    assert list(read_table(_file(tmp_path, ",a\n0,1\n")).columns) == ["column1", "a"]


def test_names_stand_in_for_a_header_line(tmp_path: Path) -> None:
    table = read_table(_file(tmp_path, "1 2\n3 4\n"), names=["a", "b"])
    assert dict(table.columns) == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings_are_read_when_named(tmp_path: Path, encoding: str) -> None:
    path = _file(tmp_path, "città,n\nMódena,1\n".encode(encoding))
    assert read_table(path, encoding=encoding).columns["città"] == ["Módena"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_in_another_encoding_is_refused_with_a_hint(tmp_path: Path, encoding: str) -> None:
    message = _refusal(tmp_path, "n,city\n1,Módena\n".encode(encoding))
    assert "table.csv, line" in message
    assert "not utf-8 text" in message
    assert f"encoding='{encoding}'" in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["the file is empty", "0 bytes"]),
        (" \n\n", ["the file is empty"]),
        ("a,b\n", ["no rows below the header"]),
        ("a,b\n1,2\n3\n4,5\n", ["line 3: wrong number of cells", "1 cells", "2 cells: a, b"]),
        ("a,b\n1,2\n3,4,5\n6\n", ["line 3: wrong number of cells", "1 other lines differ too"]),
        ("a,b\n1,2\n3", ["line 3: wrong number of cells (the file may be cut off here)"]),
        ("a,b,a\n1,2,3\n", ["two columns of one name", "'a'", "rename"]),
        ("1,2\n3,4\n", ["numbers where the column names should be", "1, 2", "names=[…]"]),
        ('a,b\n"1,2\n3,4\n', ["line 2: a damaged quotation", "never closed"]),
        ('a,b\n"x"y,2\n', ["line 2: a damaged quotation"]),
        (b"a,b\n1,\x002\n", ["line 2: a zero byte"]),
    ],
)
def test_a_damaged_table_is_refused_with_the_place(tmp_path: Path, content: str, parts: list[str]) -> None:
    message = _refusal(tmp_path, content)
    assert str(tmp_path / "table.csv") in message
    for part in parts:
        assert part in message


def test_two_names_for_one_column_or_too_few_are_refused(tmp_path: Path) -> None:
    assert "two columns of one name" in _refusal(tmp_path, "1,2\n", names=["a", "a"])
    assert "as many names as there are columns" in _refusal(tmp_path, "1,2\n", names=["a"], delimiter=",")


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n"])
def test_a_delimiter_is_one_character(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(ConfigError, match="not a delimiter") as caught:
        read_table(_file(tmp_path, "a,b\n1,2\n"), delimiter=delimiter)
    assert repr(delimiter) in str(caught.value)


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown encoding") as caught:
        read_text(_file(tmp_path, "a"), encoding="utf-9")
    assert "latin-1" in str(caught.value)


def test_a_missing_file_is_named_with_the_closest_there_is(tmp_path: Path) -> None:
    _file(tmp_path, "a,b\n1,2\n", "prices.csv")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "price.csv")
    assert str(tmp_path / "price.csv") in str(caught.value)
    assert "did you mean 'prices.csv'?" in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read") as caught:
        read_table(tmp_path)
    assert "directory" in str(caught.value)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _file(tmp_path, "a,b\n1,2\n")
    assert len(read_table("~/table.csv")) == 1


def test_numbers_are_finite_in_float32_or_missing_or_refused(tmp_path: Path) -> None:
    cells = ["1", "-2.5e3", "", "?", "NaN", "inf", "1e39", "1_000", "x", "0x10", "1,5"]
    path = _file(tmp_path, "a|b\n" + "".join(f"{cell}|0\n" for cell in cells))
    numbers, bad = parse_numbers(read_table(path), "a")
    assert [cells[row] for row in bad] == ["inf", "1e39", "1_000", "x", "0x10", "1,5"]
    assert numbers[:2].tolist() == [1.0, -2500.0]
    assert all(math.isnan(number) for number in numbers[2:])


def test_what_counts_as_missing_can_be_chosen(tmp_path: Path) -> None:
    table = read_table(_file(tmp_path, "a,b\n-1,0\n?,0\n"))
    numbers, bad = parse_numbers(table, "a", missing=["-1"])
    assert math.isnan(numbers[0])
    assert bad == [1]


@pytest.mark.parametrize(("by", "origin"), [("argument", "data.root"), ("variable", "MLKIT_DATA"), ("none", "neither")])
def test_missing_files_of_the_catalogue_say_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, origin: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MLKIT_DATA", raising=False)
    folder = tmp_path / ".cache/mlkit/data" if by == "none" else tmp_path / "root"
    if by == "variable":
        monkeypatch.setenv("MLKIT_DATA", str(folder))
    with pytest.raises(DataError) as caught:
        catalogue_file(folder if by == "argument" else None, "tabular", "adult.data")
    message = str(caught.value)
    assert f"no {folder / 'tabular/adult.data'} (the root is " in message
    assert origin in message.split("the root is ")[1]
    assert "mlkit does not download this data set" in message
    assert "a root folder that holds tabular/adult.data" in message
    assert "data=digits needs no files" in message


def test_a_file_of_the_catalogue_is_found_under_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, "x", "some.txt")
    assert catalogue_file(tmp_path, "some.txt") == path
    monkeypatch.setenv("MLKIT_DATA", str(tmp_path))
    assert catalogue_file(None, "some.txt") == path
