"""`mlkit.Watch`: observe a block of code, or a whole program, and judge it.

Not here: the command's options (`mlkit.watch`).
"""

from __future__ import annotations

import builtins
import os
import sys
import time
import traceback
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mlkit.debug.diagnose import findings, report
from mlkit.debug.findings import Finding, Report
from mlkit.debug.probes import load as load_probes
from mlkit.debug.questions import ask
from mlkit.debug.session import Session
from mlkit.debug.trials import Change


class Watch:
    """Observe the training that runs inside a ``with`` block; ``watch.report`` tells what was found.

    The block computes the same numbers as without, to the last bit.

    Args:
        window: optimiser steps looked at in detail.
        trials: whether to fork children for probes and trials.
        budget: seconds of processor time that all probes may take together.
        select, ignore: codes or families of findings to keep, or to leave out.
        on_finding: called with each error when it is first proven.
        own: folders whose code counts as the user's even within a library's folder.
        questions: changes to try at the end; the answers are ``watch.report.curves``.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> x, y = torch.randn(64, 3), torch.randn(64)
        >>> with Watch(trials=False) as watch:
        ...     for _ in range(5):
        ...         loss = (model(x)[:, 0] - y).square().mean()
        ...         loss.backward()
        ...         optimizer.step()
        >>> watch.report.findings[0].code
        'step.gradients-not-cleared'
    """

    def __init__(
        self,
        *,
        window: int = 20,
        trials: bool = True,
        budget: float = 20.0,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        on_finding: Callable[[Finding], None] | None = None,
        own: tuple[str, ...] = (),
        questions: Sequence[Change] = (),
    ) -> None:
        load_probes()
        self._session = Session(window=window, own=own, probes=trials, budget=budget)
        self._select, self._ignore, self._on_finding = tuple(select), tuple(ignore), on_finding
        self._questions = tuple(questions)
        self._told: set[object] = set()
        self._report: Report | None = None
        self._begin, self._pid = 0.0, 0

    @property
    def report(self) -> Report:
        """What was found; complete once the block has ended."""
        if self._report is None:
            self._report = self._judge()
        return self._report

    def __enter__(self) -> Watch:
        self._begin, self._pid = time.perf_counter(), os.getpid()
        if self._on_finding is not None:
            self._session.on_news = self._tell
        self._session.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        if os.getpid() != self._pid:  # a trial came to the end of the user's code
            if session.trial is not None:
                session.trial.finish()
            os._exit(0)
        if isinstance(error, Exception):
            session.crashed(error)
        session.facts.is_finished = error is None
        session.stop()
        self._report = self._judge()
        if session.parked is not None:
            session.parked.close()

    def _judge(self) -> Report:
        session = self._session
        begin = time.perf_counter()
        from mlkit.debug.confirm import confirm, gather
        from mlkit.debug.locate import locate

        locate(session)
        gather(session)
        confirm(session)
        curves = ask(session, self._questions)
        session.overhead += time.perf_counter() - begin
        found = report(
            session.facts,
            select=self._select,
            ignore=self._ignore,
            seconds=time.perf_counter() - self._begin,
            overhead=session.overhead,
        )
        return replace(found, curves=curves)

    def _tell(self) -> None:
        for finding in findings(self._session.facts, select=self._select, ignore=self._ignore):
            key = finding.code
            if finding.severity == "error" and key not in self._told:
                self._told.add(key)
                assert self._on_finding is not None
                self._on_finding(finding)


def run_program(target: str, arguments: Sequence[str], *, is_module: bool, watch: Watch) -> int:
    """Run a script or module as ``python`` would, watched; returns its exit code.

    Args:
        target: path of the script, or name of the module.
        arguments: its own ``sys.argv[1:]``.
        is_module: whether ``target`` is a module's name.
        watch: observes it; its report is complete afterwards.
    """
    run = _module_runner(target, arguments) if is_module else _script_runner(target, arguments)
    try:
        with watch:
            run()
    except SystemExit as stop:
        return _exit_code(stop)
    except KeyboardInterrupt:
        print("KeyboardInterrupt", file=sys.stderr)  # noqa: T201
        return 130
    except BaseException as error:
        _print_as_python_would(error)
        return 1
    return 0


def _script_runner(path: str, arguments: Sequence[str]) -> Callable[[], None]:
    code = compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=builtins, __cached__=None, __spec__=None)
    sys.argv = [path, *arguments]
    sys.path[0] = str(Path(path).resolve().parent)
    sys.modules["__main__"] = main

    def run() -> None:
        exec(code, main.__dict__)

    return run


def _module_runner(name: str, arguments: Sequence[str]) -> Callable[[], None]:
    import runpy

    sys.argv = [name, *arguments]
    sys.path[0] = str(Path.cwd())

    def run() -> None:
        runpy.run_module(name, run_name="__main__", alter_sys=True)

    return run


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code
    print(stop.code, file=sys.stderr)  # noqa: T201
    return 1


def _print_as_python_would(error: BaseException) -> None:
    """The traceback without our own outer frames, and without those of the recorders."""
    own = str(Path(__file__).resolve().parent)
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith((own, "<frozen runpy>")):
        trace = trace.tb_next
    told = traceback.TracebackException(type(error), error, trace)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if not frame.filename.startswith(own)])
    print("".join(told.format()), file=sys.stderr, end="")  # noqa: T201
