"""A tracker that fails must never end the run it looks at: it warns once, and the run goes on.

Not here: failures of the run itself (`mlkit.engine`).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Tracker(Protocol):
    """What `harmless` needs of a hook."""

    warned: bool


T = TypeVar("T", bound=Tracker)
P = ParamSpec("P")


def harmless(method: Callable[Concatenate[T, P], None]) -> Callable[Concatenate[T, P], None]:
    """Turn any exception of a tracker's method into one warning a tracker; later calls are tried all the same.

    A full disk may be emptied and a server may come back, so nothing is switched off. Ctrl-C passes through.
    """

    @functools.wraps(method)
    def guarded(tracker: T, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(tracker, *args, **kwargs)
        except Exception as error:
            if not tracker.warned:
                tracker.warned = True
                warnings.warn(
                    f"{type(tracker).__name__} failed ({describe(error)}); the run goes on without it",
                    stacklevel=2,
                )

    return guarded


def describe(error: Exception) -> str:
    """Kind and first line of an error; services send whole pages.

    >>> describe(OSError(28, "No space left on device", "metrics.jsonl"))
    "OSError: [Errno 28] No space left on device: 'metrics.jsonl'"
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
