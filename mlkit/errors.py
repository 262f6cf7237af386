"""The few exceptions of mlkit, each saying what is wrong, what was received, what is allowed and what to do.

Not here: judgements about training (those are findings and results, not exceptions).

    MlkitError                   anything that mlkit itself refuses; a command exits with 1
    ├── ConfigError              settings that cannot be right; a command exits with 2
    │   └── MissingExtraError    an optional package is not installed
    ├── DataError                data that is missing, damaged or does not fit the task
    ├── ModelError               a model that does not fit the data
    ├── CheckpointError          a checkpoint that is missing, damaged or belongs to another model
    └── TrainingError            a run that had to stop
        ├── NonFiniteLossError   the loss became NaN or infinite
        └── PreflightError       a bug was proven before the first step
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One mistake in four parts; only ``what`` is required.

    >>> print(Problem("unknown model", received="lenett", allowed="lenet, mlp", todo="did you mean 'lenet'?"))
    unknown model
      received: lenett
      allowed:  lenet, mlp
      to do:    did you mean 'lenet'?
    """

    what: str
    received: str | None = None
    allowed: str | None = None
    todo: str | None = None

    def __str__(self) -> str:
        parts = (("received: ", self.received), ("allowed:  ", self.allowed), ("to do:    ", self.todo))
        return "\n".join([self.what, *(f"  {label}{text}" for label, text in parts if text is not None)])


class MlkitError(Exception):
    """Base of all errors raised by mlkit; carries one or more `Problem`.

    Args:
        what: what is wrong, in one sentence; or several problems found together.
        received: the value that was received.
        allowed: what would have been accepted.
        todo: what the person should do next.
    """

    exit_code: ClassVar[int] = 1
    folder: Path | None = None
    """Of a run that failed: where it is kept."""

    def __init__(
        self,
        what: str | Sequence[Problem],
        *,
        received: object = None,
        allowed: object = None,
        todo: str | None = None,
    ) -> None:
        if isinstance(what, str):
            what = [
                Problem(
                    what,
                    received=None if received is None else str(received),
                    allowed=None if allowed is None else str(allowed),
                    todo=todo,
                )
            ]
        self.problems = tuple(what)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(MlkitError):
    """Settings that cannot be right, found before any data is read."""

    exit_code = 2


class MissingExtraError(ConfigError):
    """An optional package is needed for what was asked and is not installed."""


class DataError(MlkitError):
    """Data that is missing, damaged, or does not fit the task."""


class ModelError(MlkitError):
    """A model that does not fit the data it is given."""


class CheckpointError(MlkitError):
    """A checkpoint that is missing, damaged, or belongs to another model."""


class TrainingError(MlkitError):
    """A run that had to stop; what was trained so far is saved."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class PreflightError(TrainingError):
    """A bug in the training was proven before the first step."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """The closest of ``candidates`` as a question, or None when nothing is close.

    >>> did_you_mean("lenett", ["lenet", "mlp"])
    "did you mean 'lenet'?"
    """
    close = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None
