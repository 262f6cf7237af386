"""The doctor as a callback of the trainers of Lightning and of Hugging Face; both report when training ends.

Not here: what is looked at (`mlkit.debug.watching`). A program under ``python -m mlkit.watch`` needs no callback.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypedDict

from mlkit.debug.findings import Report
from mlkit.debug.watching import Watch
from mlkit.errors import MissingExtraError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class WatchOptions(TypedDict, total=False):
    """What `Watch` takes."""

    window: int
    trials: bool
    budget: float
    select: tuple[str, ...]
    ignore: tuple[str, ...]


def lightning_callback(*, on_report: Callable[[Report], None] | None = None, **options: Unpack[WatchOptions]) -> Any:
    """A Lightning callback that watches ``trainer.fit``.

    Args:
        on_report: is given the report; by default it is printed to standard error.
        options: as for `mlkit.Watch`.

    Returns:
        An instance of Lightning's ``Callback``, with the report as ``.report`` once training has ended.

    Raises:
        MissingExtraError: neither ``lightning`` nor ``pytorch_lightning`` is installed.
    """
    module = _first_of("lightning.pytorch", "pytorch_lightning")

    class DoctorCallback(module.Callback):  # type: ignore[name-defined, misc]
        """Watches from the start of training to its end."""

        def __init__(self) -> None:
            self._course = _Course(on_report, options)

        @property
        def report(self) -> Report | None:
            return self._course.report

        def on_train_start(self, trainer: object, pl_module: object) -> None:
            self._course.begin()

        def on_train_end(self, trainer: object, pl_module: object) -> None:
            self._course.end()

        def on_exception(self, trainer: object, pl_module: object, exception: BaseException) -> None:
            self._course.end(exception)

    return DoctorCallback()


def hugging_face_callback(*, on_report: Callable[[Report], None] | None = None, **options: Unpack[WatchOptions]) -> Any:
    """A callback for the Trainer of Hugging Face's transformers.

    Args:
        on_report: is given the report; by default it is printed to standard error.
        options: as for `mlkit.Watch`.

    Returns:
        An instance of ``transformers.TrainerCallback``, with the report as ``.report`` once training has ended. When
        training fails, the trainer tells no callback; run such a program as ``python -m mlkit.watch``.

    Raises:
        MissingExtraError: ``transformers`` is not installed.
    """
    module = _first_of("transformers")

    class DoctorCallback(module.TrainerCallback):  # type: ignore[name-defined, misc]
        """Watches from the start of training to its end."""

        def __init__(self) -> None:
            self._course = _Course(on_report, options)

        @property
        def report(self) -> Report | None:
            return self._course.report

        def on_train_begin(self, args: object, state: object, control: object, **parts: object) -> None:
            self._course.begin()

        def on_train_end(self, args: object, state: object, control: object, **parts: object) -> None:
            self._course.end()

    return DoctorCallback()


class _Course:
    """One training under the doctor, begun and ended by a trainer."""

    def __init__(self, on_report: Callable[[Report], None] | None, options: WatchOptions) -> None:
        self.on_report, self.options = on_report or _print, options
        self.watch: Watch | None = None
        self.report: Report | None = None

    def begin(self) -> None:
        self.watch = Watch(**self.options)
        self.watch.__enter__()

    def end(self, error: BaseException | None = None) -> None:
        if self.watch is None:
            return
        watch, self.watch = self.watch, None
        watch.__exit__(None if error is None else type(error), error, None if error is None else error.__traceback__)
        self.report = watch.report
        self.on_report(self.report)


def _print(report: Report) -> None:
    from mlkit.debug.present import text

    width = shutil.get_terminal_size().columns
    print(text(report, colour=sys.stderr.isatty(), width=width), file=sys.stderr)  # noqa: T201


def _first_of(*names: str) -> Any:
    """The first of these packages that is in use, else the first that is installed."""
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise MissingExtraError(
        f"{names[0].split('.')[0]} is not installed",
        allowed=" or ".join(names),
        todo=f"pip install {names[0].split('.')[0]}",
    )
