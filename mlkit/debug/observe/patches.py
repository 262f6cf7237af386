"""Putting our function in front of a public entry point, and taking it away again without a trace.

Not here: what the functions record.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


class Patches:
    """Replaced attributes, restored in reverse order by `undo`."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any, bool]] = []

    def around(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace ``owner.name`` by what ``make`` makes of it; documentation and signature stay."""
        here = name in vars(owner)
        original = getattr(owner, name)
        replaced = functools.wraps(original)(make(original))
        setattr(owner, name, replaced)
        self._undo.append((owner, name, vars(owner)[name] if not here else original, here))

    def undo(self) -> None:
        """Put back all originals."""
        while self._undo:
            owner, name, original, here = self._undo.pop()
            if here:
                setattr(owner, name, original)
            else:
                delattr(owner, name)
