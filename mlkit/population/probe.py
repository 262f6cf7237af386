"""The probe: every back end that can train a bucket does a few real steps on copies, and the fastest is taken.

A stack is first held against the loop in float64 (`mlkit.population.agreement`). Not here: training.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Literal

import torch

from mlkit.engine.loop import train
from mlkit.population.agreement import check_agreement
from mlkit.population.cohort import Choice
from mlkit.population.course import Course
from mlkit.population.feed import Fed
from mlkit.population.lockstep import Lockstep, is_out_of_memory
from mlkit.population.loop import Solo, reason_of
from mlkit.population.processes import Crew, obstacle
from mlkit.population.record import Record
from mlkit.population.run import Run
from mlkit.population.stacked.errors import CannotStackError
from mlkit.population.stacked.kernels import choose_kernels
from mlkit.population.stacked.stack import Stack
from mlkit.runtime import rng
from mlkit.runtime.threads import available_cores

GAIN = 1.1
"""Another way than the loop is taken where it is so many times as fast: a few steps are noisy by a tenth."""
GAIN_OF_PROCESSES = 1.3
"""Of worker processes more is asked: whether the other cores stay free for the whole run, no probe can know."""
# A stack costs some three steps of all members to try, which are to be lost in the run.
_FEWEST_STEPS = 60
# Below so many steps in all the fastest kernels would not save what finding them costs.
_STEPS_FOR_KERNELS = 400
# Starting and trying workers takes about 0.2 s.
_SECONDS_FOR_PROCESSES = 5.0
# What each timing may take of the whole run, and at most, in seconds.
_SHARE, _MOST_SECONDS = 0.01, 0.1
_MOST_STEPS = 50


@dataclass(frozen=True)
class Candidate:
    """A back end that was tried.

    Args:
        choice: it, with the seconds of one step of all members.
        seconds: the same.
        note: what else is to be said of it.
    """

    choice: Choice
    seconds: float
    note: str


def choose(
    runs: Sequence[Run], course: Course, *, can_stack: bool, workers: int | None = None, legs: int = 1
) -> Choice:
    """The fastest way to train the members of a bucket, as measured here and now.

    Args:
        runs: the members; they stay as they are.
        course: what they share.
        can_stack: whether they are the same but for numbers.
        workers: processes at a time; None: one a core.
        legs: how often worker processes are started in the run.
    """
    if len(runs) == 1:
        return Choice("loop", "one member of its kind: nothing to train beside it")
    steps = course.max_epochs * len(course.training_of(runs[0].settings))
    if steps < _FEWEST_STEPS:
        return Choice("loop", f"a run of {steps} steps is over before a measurement pays")
    with rng.preserved():
        try:
            alone = _time_alone(runs, course, steps)
        except Exception as error:  # the run itself will say it of each member
            return Choice("loop", f"the probe failed: {reason_of(error)}")
        loop = alone * len(runs)
        tried, refused = [Candidate(Choice("loop", ""), loop, "")], []
        for name in ("stacked", "vmap") if can_stack else ():
            found = _try_lockstep(runs, course, name, loop=loop, steps=steps)
            if isinstance(found, Candidate):
                tried.append(found)
                break  # what has layers of its own was never slower than vmap
            refused.append(f"{name} {found}")
        best = min(each.seconds for each in tried)
        processes = _try_processes(runs, course, alone, best, workers=workers, legs=legs, steps=steps)
        if processes is not None:
            tried.append(processes)
    return fastest(tried, refused, len(runs))


def fastest(tried: Sequence[Candidate], refused: Sequence[str], size: int) -> Choice:
    """The candidate to take; the loop, which is the first, unless another is faster by `GAIN`.

    Args:
        tried: with the seconds of one step of all members.
        refused: what could not be tried, and why.
        size: members.
    """
    loop = tried[0].seconds
    best = min(tried, key=lambda each: each.seconds)
    if loop < GAIN * best.seconds:
        best = tried[0]
    elif best.choice.backend == "processes" and min(each.seconds for each in tried[:-1]) < (
        GAIN_OF_PROCESSES * best.seconds
    ):
        return fastest(tried[:-1], [*refused, f"processes {1e3 * best.seconds:.3g} ms: too little gained"], size)
    times = ", ".join(f"{each.choice.backend} {1e3 * each.seconds:.3g} ms" for each in tried)
    notes = [f"a step of {size} members takes {times}", *(each.note for each in tried if each.note), *refused]
    seconds: dict[str, float] = {each.choice.backend: each.seconds for each in tried}
    return replace(best.choice, reason="; ".join(notes), seconds=seconds)


def _time_alone(runs: Sequence[Run], course: Course, steps: int) -> float:
    """Seconds of a step of one member by the engine's loop: of the one that is least likely to diverge."""
    solo = Solo(_fresh(min(runs, key=lambda run: run.settings.lr)), course)
    _steps_alone(solo, 2)  # the first make moments and buffers
    once = _seconds(lambda: _steps_alone(solo, 1), course)
    return _least(lambda count: _steps_alone(solo, count), once, course, whole=steps * len(runs) * once)


def _steps_alone(solo: Solo, steps: int) -> None:
    plan = replace(solo.plan, evaluate=None, max_epochs=None, max_steps=solo.state.step + steps)
    train(solo.state, plan, hooks=solo.hooks)


def _least(work: Callable[[int], object], once: float, course: Course, *, whole: float) -> float:
    """Seconds of one step: the least of a few rounds, since whatever disturbs only adds.

    Args:
        work: does so many steps.
        once: what one step took before.
        course: what members share.
        whole: seconds of the run, of which a small share is spent here.
    """
    budget, best = min(_SHARE * whole, _MOST_SECONDS), once
    steps = max(1, min(_MOST_STEPS, int(budget / 4 / max(once, 1e-6))))
    while budget > 0:
        seconds = _seconds(lambda: work(steps), course)
        best, budget = min(best, seconds / steps), budget - seconds
    return best


def _seconds(work: Callable[[], object], course: Course) -> float:
    _wait(course)
    begun = time.perf_counter()
    work()
    _wait(course)
    return time.perf_counter() - begun


def _wait(course: Course) -> None:
    if course.device.type == "cuda":
        torch.cuda.synchronize()


def _try_lockstep(
    runs: Sequence[Run], course: Course, name: Literal["stacked", "vmap"], *, loop: float, steps: int
) -> Candidate | str:
    """A candidate, or why it is none. One step decides whether it is worth a closer look."""
    try:
        lockstep = Lockstep([_fresh(run) for run in runs], course, name)
        feed = _endless(lockstep)
        if isinstance(lockstep.stack, Stack) and steps >= _STEPS_FOR_KERNELS:
            fed = next(feed)
            lockstep.stack.train(True)
            choose_kernels(lockstep.stack, fed.inputs, shared=fed.shared, calls=2)
        _steps_together(lockstep, feed, 1)
        once = _seconds(lambda: _steps_together(lockstep, feed, 1), course)
        if once * GAIN > loop:  # it will not be taken, so whether it is right need not be known
            return Candidate(Choice(name, ""), once, "")
        agreement = check_agreement(runs, course, name)
        if agreement.problem is not None:
            return f"is wrong here: {agreement.problem}"
        seconds = _least(lambda count: _steps_together(lockstep, feed, count), once, course, whole=steps * once)
    except CannotStackError as error:
        return f"cannot: {error.problems[0].what.removeprefix('the members cannot be stacked: ')}"
    except Exception as error:  # out of memory among others; half of them may fit, but the loop is sure to
        if is_out_of_memory(error):
            return "has no room for all of them at once"
        return f"failed: {reason_of(error)}"
    digits = "float64" if agreement.precision == torch.float64 else "float32"
    to = "exactly" if agreement.worst == 0 else f"to {agreement.worst:.0e}"
    note = f"{name} agrees with the loop {to} in {digits}"
    return Candidate(Choice(name, "", kernels=lockstep.kernels()), seconds, note)


def _steps_together(lockstep: Lockstep, feed: Iterator[Fed], steps: int) -> None:
    size = len(lockstep.runs)
    factors = torch.ones(size, dtype=torch.float64)
    active = torch.ones(size, dtype=torch.bool, device=lockstep.course.device)
    for number, fed in enumerate(islice(feed, steps)):
        lockstep.step(fed, number, factors=factors, active=active)


def _endless(lockstep: Lockstep) -> Iterator[Fed]:
    lockstep.stack.train(True)
    for _ in cycle([0]):
        yield from lockstep.feed.epoch(0)


def _try_processes(
    runs: Sequence[Run], course: Course, alone: float, best: float, *, workers: int | None, legs: int, steps: int
) -> Candidate | None:
    """Worker processes, all busy at once, so that what they take from each other is in the figure; None: no use."""
    size = min(available_cores() if workers is None else workers, len(runs))
    in_turn = math.ceil(len(runs) / max(size, 1))
    hopeless = alone * in_turn * GAIN_OF_PROCESSES > best or best * steps < _SECONDS_FOR_PROCESSES
    if size < 2 or hopeless or obstacle(course) is not None:
        return None
    solos = [Solo(_fresh(run), course) for run in runs[:size]]
    count = max(1, min(4 * _MOST_STEPS, int(_MOST_SECONDS / max(alone, 1e-6))))

    def work(place: int) -> bytes:
        _steps_alone(solos[place], 2)
        return struct.pack("d", _seconds(lambda: _steps_alone(solos[place], count), course) / count)

    begun = time.perf_counter()
    with Crew(work, size) as crew:
        answers = [answer for _, answer in crew.results(range(size))]
    wall = time.perf_counter() - begun
    times = [struct.unpack("d", answer)[0] for answer in answers if isinstance(answer, bytes)]
    if len(times) < size:
        return None
    slowest: float = max(times)
    starting = max(0.0, wall - slowest * (count + 2)) * legs / steps
    choice = Choice("processes", "", workers=workers)
    return Candidate(choice, slowest * in_turn + starting, f"processes with {size} workers at once")


def _fresh(run: Run) -> Run:
    """The same member at the start, with a record of its own; back ends train copies of its model."""
    return replace(run, record=Record())
