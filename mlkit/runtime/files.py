"""Files that are whole or absent: write to a temporary neighbour, flush to disk, rename.

Not here: what is in the files.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path | str, write: Callable[[BinaryIO], object]) -> None:
    """Call ``write`` on a temporary file beside ``path``, flush it to disk and rename it to ``path``.

    A reader, or a crash at any moment, sees the old file or the new one, never a part. On failure the old file stays.

    Raises:
        OSError: the folder cannot be written or the disk is full; the temporary file is removed.
    """
    path = Path(path)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` atomically as UTF-8."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path | str, value: object) -> None:
    """Write ``value`` atomically as indented JSON; NaN and infinities become null, which every reader can parse."""
    write_text(path, json.dumps(plain(value), indent=2) + "\n")


def plain(value: object) -> object:
    """``value`` with everything that JSON does not know made plain: tuples to lists, paths to text, NaN to None.

    >>> plain({"a": (1, float("nan")), "p": Path("x")})
    {'a': [1, None], 'p': 'x'}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if hasattr(value, "item") and callable(value.item):
        return plain(value.item())
    return str(value)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder for fsync
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
