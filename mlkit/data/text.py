"""Character text: what comes next in a long text, and which language a name is from.

Not here: word or subword vocabularies.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlkit.data.bundle import DataBundle
from mlkit.data.fingerprint import hash_splits
from mlkit.data.reading import catalogue_file, read_text
from mlkit.data.source import Source
from mlkit.data.windows import Windowing, borders_of, check_borders, check_windowing, window_splits
from mlkit.errors import DataError
from mlkit.task import Task

UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def text_file(
    path: Path | str,
    *,
    context: int = 128,
    stride: int | None = None,
    val_fraction: float = 0.05,
    test_fraction: float = 0.05,
    limit: int | None = None,
    seed: int = 0,
    encoding: str = "utf-8",
    name: str | None = None,
) -> DataBundle:
    r"""The next character at every place of a text.

    The text is cut in order: the first 90 % are trained on, the next 5 % are ``val``, the last 5 % ``test``. (Published
    figures for "90/10" are of our ``val`` and ``test`` together.) The vocabulary is that of the training part;
    characters that only the others have, if there are any, share one more token at its end.

    Args:
        path: a text file.
        context: characters of input; the target is the same stretch one place further on.
        stride: characters from the start of one training window to that of the next; None: ``context``, so that
            windows follow one another and each character is predicted once an epoch. ``val`` and ``test`` always do so.
        val_fraction: share of the text that is held out for ``val``.
        test_fraction: share at the end that is held out for ``test``; 0 makes none.
        limit: training windows to keep, chosen at random.
        seed: key of that choice.
        encoding: of the file.
        name: what the data set is called; the file's name without its suffix when left out.

    Returns:
        Tokens ``(N, context)`` and, one place on, targets of the same shape; ``task.class_names[token]`` is the
        character.

    Raises:
        DataError: the file cannot be read, holds one character only, or a split is too short for a window.
        ConfigError: a size or a share that cannot be right.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "rhyme.txt")
    ...     _ = file.write_text("round and round the rugged rock\n" * 20)
    ...     print(text_file(file, context=8))
    rhyme: tokens 8, 14 tokens; train 71, val 3, test 3
    """
    stride = context if stride is None else stride
    windowing = Windowing(context=context, stride=stride, eval_stride=context)
    check_windowing(windowing, least_horizon=0, limit=limit)
    path = Path(path).expanduser()
    name = name or path.stem
    characters = _code_points(read_text(path, encoding=encoding))
    if len(characters) < 10 * context:
        raise DataError(
            "the text is too short for windows of this length",
            received=f"{path}: {len(characters):,} characters",
            allowed=f"at least {10 * context:,} for data.context={context}",
            todo=f"take a longer text, or data.context={max(1, len(characters) // 10)}",
        )
    borders = borders_of(len(characters), val_fraction=val_fraction, test_fraction=test_fraction)
    check_borders(name, borders, len(characters))
    tokens, vocabulary = _tokens(characters, borders[0])
    size = len(vocabulary)
    if size < 2:
        raise DataError(f"{path}: there is only one character", received=repr(vocabulary[0]), allowed="two or more")
    splits = window_splits(name, tokens, borders, windowing, limit=limit, seed=seed)
    task = Task("next_token", "tokens", (context,), num_outputs=size, class_names=vocabulary, vocab_size=size)
    return DataBundle(
        name=name,
        task=task,
        train=splits["train"],
        val=splits["val"],
        test=splits.get("test"),
        fingerprint=hash_splits(task, splits.items()),
        notes={
            "source": str(path),
            "text": f"{len(characters):,} characters, {size} tokens",
            "split": f"in order: train to character {borders[0]:,}, val to {borders[1]:,}, test to {borders[2]:,}",
        },
    )


def tiny_shakespeare(
    *,
    root: Path | str | None = None,
    context: int = 128,
    stride: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> DataBundle:
    """Tiny Shakespeare: 1,115,394 characters of plays, 65 distinct; the next character.

    The first 90 % are trained on, ``val`` and ``test`` are the halves of the usual 10 %. For the arguments see
    `text_file`.

    Source: Karpathy 2015, "The unreasonable effectiveness of recurrent neural networks".
    """
    path = catalogue_file(root, "text", "tinyshakespeare.txt")
    bundle = text_file(path, context=context, stride=stride, limit=limit, seed=seed, name="tiny_shakespeare")
    return replace(bundle, notes={**bundle.notes, "source": "karpathy/char-rnn; exact copy"})


def names(*, root: Path | str | None = None) -> Source:
    """Names: which of 18 languages is a surname from? 18,012 names, from 71 (Vietnamese) to 9,340 (Russian).

    The files hold 20,050 lines; a name that is repeated within a language counts once (of 2,000 Arabic lines 108 are
    left). A spelling that is at home in several languages keeps them all, but in one split: groups.

    Returns:
        Characters as tokens ``(N, T)``, uint8, 0 after the end, and the lengths. The vocabulary is that of all names:
        it numbers characters and holds no statistic; a character of no training name has a token that is never trained.

    Raises:
        DataError: the folder or its files are not there, or are not UTF-8.

    Source: Robertson 2017, "Classifying names with a character-level RNN", PyTorch tutorials.
    """
    folder = catalogue_file(root, "text", "names")
    files = sorted(folder.glob("*.txt"))
    if len(files) < 2:
        raise DataError(
            "there are no names", received=f"{len(files)} text files in {folder}", allowed="one file a language"
        )
    found = [(_read_names(file), language) for language, file in enumerate(files)]
    pairs = [(name, language) for spellings, language in found for name in spellings]
    tokens, lengths, vocabulary = _spell([name for name, _ in pairs])
    folded = [name.casefold() for name, _ in pairs]
    lines = sum(len(read_text(file).splitlines()) for file in files)
    return Source(
        name="names",
        task=Task(
            "classification",
            "tokens",
            input_shape=(tokens.shape[1],),
            num_outputs=len(files),
            class_names=tuple(file.stem for file in files),
            vocab_size=len(vocabulary) + 1,
            has_lengths=True,
        ),
        inputs=(tokens, lengths),
        targets=torch.tensor([language for _, language in pairs]),
        groups=torch.from_numpy(np.unique(folded, return_inverse=True)[1]),
        notes={
            "source": "spro/practical-pytorch, Robertson 2017; exact copy",
            "names": f"{len(pairs):,} of {lines:,} lines; repeated names of a language count once",
            "vocabulary": "padding, then " + "".join(vocabulary),
        },
    )


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _tokens(characters: NDArray[np.uint32], train: int) -> tuple[Tensor, tuple[str, ...]]:
    """Tokens in the smallest integers that hold them, and the character of each token."""
    known = np.unique(characters[:train])
    index = np.searchsorted(known, characters).clip(max=len(known) - 1)
    is_known = known[index] == characters
    tokens = np.where(is_known, index, len(known))
    vocabulary = tuple(map(chr, known)) + (() if is_known.all() else (UNKNOWN,))
    dtype = np.uint8 if len(vocabulary) <= 256 else np.int32
    return torch.from_numpy(tokens.astype(dtype)), vocabulary


def _read_names(file: Path) -> list[str]:
    """The distinct names of a file in their order; one spelling whatever the Unicode form it was typed in."""
    lines = (unicodedata.normalize("NFC", line.strip()) for line in read_text(file).split("\n"))
    return list(dict.fromkeys(line for line in lines if line))


def _spell(spellings: list[str]) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Tokens ``(N, T)`` with 0 after the end, lengths ``(N,)``, and the characters from token 1 on."""
    vocabulary = tuple(sorted(set("".join(spellings))))
    token = {character: number for number, character in enumerate(vocabulary, start=1)}
    lengths = torch.tensor([len(name) for name in spellings])
    tokens = torch.zeros(len(spellings), int(lengths.max()), dtype=torch.uint8 if len(token) < 256 else torch.int64)
    for row, name in enumerate(spellings):
        tokens[row, : len(name)] = torch.tensor([token[character] for character in name], dtype=tokens.dtype)
    return tokens, lengths, vocabulary
