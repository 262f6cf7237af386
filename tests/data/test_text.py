from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mlkit.data import load
from mlkit.data.text import UNKNOWN, names, text_file
from mlkit.errors import ConfigError, DataError


def _file(folder: Path, content: str | bytes, name: str = "book.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _refusal(read: Callable[[], object], kind: type[Exception] = DataError) -> str:
    with pytest.raises(kind) as caught:
        read()
    return str(caught.value)


def _languages(root: Path, **content: str) -> Path:
    (root / "text/names").mkdir(parents=True)
    for language, lines in content.items():
        _file(root / "text/names", lines, f"{language}.txt")
    return root


def test_the_windows_of_a_split_spell_its_text_and_nothing_else(tmp_path: Path) -> None:
    text = "".join(chr(97 + n * n % 26) for n in range(2000))
    bundle = text_file(_file(tmp_path, text), context=10, val_fraction=0.1, test_fraction=0.2)
    vocabulary = bundle.task.class_names
    for name, begin, end in (("train", 0, 1400), ("val", 1400, 1600), ("test", 1600, 2000)):
        split = getattr(bundle, name)
        (x,), y = split.gather(torch.arange(len(split)))
        assert x.dtype == y.dtype == torch.int64
        assert "".join(vocabulary[token] for token in x.flatten()) == text[begin:end][: x.numel()]
        assert "".join(vocabulary[token] for token in y.flatten()) == text[begin:end][1 : 1 + y.numel()]
        assert x.numel() >= end - begin - 10


def test_the_vocabulary_is_that_of_the_training_part(tmp_path: Path) -> None:
    bundle = text_file(_file(tmp_path, "abc" * 300 + "axb" * 100), context=5, val_fraction=0.125, test_fraction=0.125)
    assert bundle.task.class_names == ("a", "b", "c", UNKNOWN)
    assert bundle.task.num_outputs == bundle.task.vocab_size == 4
    assert int(bundle.train.targets.max()) == 2
    assert bundle.test is not None
    assert set(bundle.test.targets.flatten().tolist()) == {0, 1, 3}


def test_no_token_is_kept_for_the_unknown_where_there_is_none(tmp_path: Path) -> None:
    assert text_file(_file(tmp_path, "abc" * 300), context=5).task.class_names == ("a", "b", "c")


def test_characters_are_code_points_and_line_ends_are_one(tmp_path: Path) -> None:
    bundle = text_file(_file(tmp_path, ("é😀" + "\r\n") * 100), context=5)
    assert bundle.task.class_names == ("\n", "é", "😀")
    assert bundle.notes["text"] == "300 characters, 3 tokens"


def test_more_than_256_characters_need_wider_tokens(tmp_path: Path) -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 5
    bundle = text_file(_file(tmp_path, text), context=20)
    assert bundle.task.num_outputs == 300
    (x,), _ = bundle.train.gather(torch.arange(2))
    assert "".join(bundle.task.class_names[token] for token in x[0]) == text[:20]


def test_windows_may_overlap_in_training_only(tmp_path: Path) -> None:
    path = _file(tmp_path, "abcdefghij" * 200)
    apart, dense = text_file(path, context=10), text_file(path, context=10, stride=1)
    assert len(dense.train) == 1800 - 10
    assert len(apart.train) == 179
    assert len(dense.val) == len(apart.val) == 9


def test_a_limit_keeps_some_windows(tmp_path: Path) -> None:
    bundle = text_file(_file(tmp_path, "abcdefghij" * 200), context=10, limit=20)
    assert len(bundle.train) == 20
    assert bundle.test is not None
    assert len(bundle.test) == 9


def test_no_test_part(tmp_path: Path) -> None:
    assert text_file(_file(tmp_path, "abcdefghij" * 200), context=10, test_fraction=0.0).test is None


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "the file is empty"),
        ("a" * 2000, "there is only one character"),
        ("short", "too short for windows"),
        (b"\xff\xfe\x00", "not utf-8 text"),
    ],
)
def test_text_that_cannot_be_used_is_refused(tmp_path: Path, content: str | bytes, part: str) -> None:
    path = _file(tmp_path, content)
    assert part in _refusal(lambda: text_file(path, val_fraction=0.3, test_fraction=0.3))


def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, "abc" * 100)
    message = _refusal(lambda: text_file(path, context=0, stride=0, limit=1), ConfigError)
    assert all(f"data.{name} is too small" in message for name in ("context", "stride", "limit"))
    assert "shares" in _refusal(lambda: text_file(path, context=5, val_fraction=0.0), ConfigError)


def test_names_are_spelled_out_and_repeated_ones_count_once(tmp_path: Path) -> None:
    root = _languages(tmp_path, Czech="Abl\nAbl \n\nZajíc\n", Greek="Zaji\u0301c\nAbas\n")
    source = names(root=root)
    tokens, lengths = source.inputs
    vocabulary = ["", *source.notes["vocabulary"].removeprefix("padding, then ")]
    spelled = ["".join(vocabulary[token] for token in row[:n]) for row, n in zip(tokens, lengths, strict=True)]
    assert spelled == ["Abl", "Zajíc", "Zajíc", "Abas"]
    assert source.targets.tolist() == [0, 0, 1, 1]
    assert source.task.class_names == ("Czech", "Greek")
    assert int(tokens.max()) < source.task.vocab_size == len(vocabulary)
    assert not bool(tokens[lengths[:, None] <= torch.arange(tokens.shape[1])].any())


def test_a_name_of_two_languages_stands_in_one_split(tmp_path: Path) -> None:
    source = names(root=_languages(tmp_path, A="Lee\nPark\n", B="lee\nKim\n"))
    assert source.groups is not None
    assert source.groups[0] == source.groups[2]
    assert source.groups.unique().numel() == 3


@pytest.mark.parametrize("content", [{}, {"Czech": "Abl\n"}])
def test_too_few_languages_are_refused(tmp_path: Path, content: dict[str, str]) -> None:
    root = _languages(tmp_path, **content)
    message = _refusal(lambda: names(root=root))
    assert f"{len(content)} text files in {root / 'text/names'}" in message


def test_missing_files_of_the_catalogue_are_named(tmp_path: Path) -> None:
    assert str(tmp_path / "text/tinyshakespeare.txt") in _refusal(lambda: load("tiny_shakespeare", root=tmp_path))
    assert str(tmp_path / "text/names") in _refusal(lambda: load("names", root=tmp_path))


@pytest.mark.data
def test_tiny_shakespeare(data_root: Path) -> None:
    bundle = load("tiny_shakespeare", root=data_root, context=64)
    text = (data_root / "text/tinyshakespeare.txt").read_text()
    assert bundle.notes["text"] == "1,115,394 characters, 65 tokens"
    assert bundle.task.class_names == tuple(sorted(set(text)))
    (x,), _ = bundle.val.gather(torch.tensor([0]))
    begin = len(text) - 2 * round(0.05 * len(text))
    assert abs(begin - 0.9 * len(text)) < 2  # the usual 90 % and 10 %
    assert "".join(bundle.task.class_names[token] for token in x[0]) == text[begin : begin + 64]


@pytest.mark.data
def test_names_of_18_languages(data_root: Path) -> None:
    source = names(root=data_root)
    counts = dict(zip(source.task.class_names, source.targets.bincount().tolist(), strict=True))
    assert len(counts) == 18
    assert (sum(counts.values()), counts["Vietnamese"], counts["Russian"], counts["Arabic"]) == (18_012, 71, 9_340, 108)
    bundle = load("names", root=data_root)
    rows = []
    for _, split in bundle.splits():
        tokens, _ = split.gather(torch.arange(len(split))).inputs
        rows.append({"".join(chr(int(token)) for token in row) for row in tokens})
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
