"""`mlkit.fit`: the engine's `fit`, with progress shown on the terminal, in a file or in a notebook.

Not here: training (`mlkit.engine.fit`, the same function in silence) and the display (`mlkit.tracking.Console`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast

from mlkit.engine.fit import fit as silent_fit
from mlkit.engine.result import FitResult
from mlkit.tracking import Console

P = ParamSpec("P")


def with_progress(function: Callable[P, FitResult]) -> Callable[P, FitResult]:
    """``function`` with a `Console` after its other hooks, unless one of them is a `Console` already."""

    @wraps(function)
    def shown(*args: P.args, **kwargs: P.kwargs) -> FitResult:
        hooks: list[Any] = list(cast("Any", kwargs.get("hooks", ())))
        if not any(isinstance(hook, Console) for hook in hooks):
            kwargs["hooks"] = [*hooks, Console()]
        return function(*args, **kwargs)

    return shown


fit = with_progress(silent_fit)
