"""The back end ``processes``: members trained alone, as the loop does it, in forked workers with one thread each.

A worker is a copy of this process, so it has data and models without sending them. Members are given out one at a time,
so that a long one holds up nobody; a worker that dies takes one member with it, and says so. Not here: GPUs, which a
forked process cannot use.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import cast

import torch

from mlkit.population.backend import BackendName
from mlkit.population.course import Course
from mlkit.population.loop import Loop, Solo
from mlkit.population.record import Record
from mlkit.population.run import Run
from mlkit.runtime.threads import available_cores


class Processes(Loop):
    """Members in forked workers.

    Args:
        runs: the members.
        course: what they share.
        workers: processes at a time; by default one for each core that this process may use.
    """

    name: BackendName = "processes"
    by_epoch = False

    def __init__(self, runs: Sequence[Run], course: Course, *, workers: int | None = None) -> None:
        super().__init__(runs, course)
        self.workers = available_cores() if workers is None else workers

    def advance(self, epoch: int, *, told: Callable[[], None]) -> None:
        def work(solo: Solo) -> None:
            solo.advance(epoch)

        self._run(work, told)

    def finish(self) -> None:
        self._run(Solo.finish, lambda: None)

    def _run(self, work: Callable[[Solo], None], told: Callable[[], None]) -> None:
        # Those that see most examples first, so that none of them is left alone at the end.
        jobs = sorted(range(len(self.runs)), key=lambda place: -self.solos[place].plan.batches.num_examples)
        crew = Crew(lambda place: self._work(place, work), min(self.workers, len(jobs)))
        with crew:
            for place, answer in crew.results(jobs):
                self._take(place, answer)
                told()

    def _work(self, place: int, work: Callable[[Solo], None]) -> bytes:
        """In a worker: do the work on one member, and give back what changed."""
        solo = self.solos[place]
        work(solo)
        record = solo.run.record
        content = {"record": record.to_dict(), **({} if record.status == "failed" else solo.export())}
        file = io.BytesIO()
        torch.save(content, file)
        return file.getvalue()

    def _take(self, place: int, answer: bytes | str) -> None:
        run, solo = self.runs[place], self.solos[place]
        if isinstance(answer, str):
            run.record.end("failed", answer)
            return
        content = torch.load(io.BytesIO(answer), weights_only=True)
        run.record = Record.from_dict(content["record"])
        if "model" in content:
            solo.restore(content)


def obstacle(course: Course) -> str | None:
    """Why workers cannot be forked here, or None."""
    if not hasattr(os, "fork") or sys.platform == "darwin":
        return "this platform cannot fork safely"
    if course.device.type != "cpu":
        return f"a forked process cannot use {course.device.type}"
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return "CUDA is in use, and a forked process cannot use it"
    return None


class Crew:
    """Workers that each do one job at a time; use it as a context, which ends them whatever happens."""

    def __init__(self, work: Callable[[int], bytes], size: int) -> None:
        self.work, self.size = work, size
        self.workers: dict[Connection, tuple[ForkProcess, int]] = {}
        """Each busy worker by its pipe, with its job."""

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe, (process, _job) in self.workers.items():
            process.kill()
            process.join()
            pipe.close()
        self.workers.clear()

    def results(self, jobs: Sequence[int]) -> Iterator[tuple[int, bytes | str]]:
        """Each job with what the work returned, or why it did not."""
        waiting = list(jobs)
        while waiting or self.workers:
            while waiting and len(self.workers) < self.size:
                self._start(waiting.pop(0))
            for ready in connection.wait(list(self.workers)):
                pipe = cast("Connection", ready)
                process, job = self.workers[pipe]
                try:
                    answer: bytes | str = pipe.recv_bytes()
                except (EOFError, OSError):
                    answer = self._bury(pipe, process)
                else:
                    self._go_on(pipe, process, waiting)
                yield job, answer

    def _start(self, job: int) -> None:
        context = get_context("fork")
        ours, theirs = context.Pipe()
        # Workers hold copies of the pipes of those before them, which would keep a dead one's pipe from closing.
        others = [ours, *self.workers]
        process = context.Process(target=_serve, args=(theirs, others, self.work), daemon=True)
        with warnings.catch_warnings():
            # Python warns of threads in the parent: a worker uses one thread, and takes no lock that another may hold.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        ours.send(job)
        self.workers[ours] = (process, job)

    def _go_on(self, pipe: Connection, process: ForkProcess, waiting: list[int]) -> None:
        if waiting:
            job = waiting.pop(0)
            self.workers[pipe] = (process, job)
            with contextlib.suppress(OSError):  # it died between two jobs; its end is noticed when it is read
                pipe.send(job)
            return
        del self.workers[pipe]
        pipe.close()  # which tells it to end
        process.join()

    def _bury(self, pipe: Connection, process: ForkProcess) -> str:
        del self.workers[pipe]
        pipe.close()
        process.join()
        code = process.exitcode
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"


def _serve(pipe: Connection, others: Sequence[Connection], work: Callable[[int], bytes]) -> None:
    """A worker: does jobs until the other end is closed."""
    for other in others:
        other.close()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send_bytes(work(job))
