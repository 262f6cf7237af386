"""How many CPU threads a step is worth, by trying: more as long as it helps, the fewest among equals.

Not here: everything else that makes a step fast (`mlkit.engine.speed`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from mlkit.engine.speed_settings import in_threads
from mlkit.engine.speed_trial import Trial
from mlkit.runtime.threads import threads

_ROUNDS = 5
# Among counts that differ by less than this the smallest is taken. Few threads are the safe choice: they leave cores to
# others, and when others come, two threads on two cores were seen to cost a factor of 70.
_SAME = 1.10
# Of a step below a millisecond more must be gained, since it is a fraction of that, whereas threads that wait for one
# another cost tens of milliseconds a step (measured: an MLP's 0.35 became 90).
_SHORT_STEP = 1e-3
_SAME_IF_SHORT = 1.50
_WORSE = 1.1  # more threads than a count that is slower by this are not tried
_CLOSE = 1.5  # counts within this of the fastest are timed again, in turn
_HOPELESS = 2.0  # a first step that is slower by this factor ends the attempt
_HELD_UP = 5.0  # below this factor more it gets a second chance: it may have been held up by chance
_WAKING = 1e-3  # seconds that a thread pool may take to start


@dataclass(frozen=True)
class ThreadTimes:
    """Seconds of a step by number of threads.

    Args:
        seconds: for every number that was tried, 1 among them.
        stalled: the number at which threads only waited for one another, if one was met.
    """

    seconds: dict[int, float]
    stalled: int | None = None

    @property
    def best(self) -> int:
        """The smallest number within 10 % of the fastest; of steps below a millisecond within 50 %.

        >>> ThreadTimes({1: 1.0, 2: 0.63, 4: 0.60}).best
        2
        >>> ThreadTimes({1: 0.0004, 2: 0.0003}).best
        1
        """
        fastest = min(self.seconds.values())
        same = _SAME_IF_SHORT if self.seconds[1] < _SHORT_STEP else _SAME
        return min(count for count, seconds in self.seconds.items() if seconds <= same * fastest)

    @property
    def explanation(self) -> str:
        """The choice in words, with the speed relative to one thread.

        >>> print(ThreadTimes({1: 1.0, 2: 0.5}).explanation)
        2 threads 2.00x
        >>> print(ThreadTimes({1: 1.0, 2: 0.98}).explanation)
        1 thread (2 threads 1.02x)
        """
        if self.best > 1:
            return f"{in_threads(self.best)} {self.seconds[1] / self.seconds[self.best]:.2f}x"
        if self.stalled is not None:
            return f"1 thread ({in_threads(self.stalled)} stall, the cores are busy)"
        rivals = {seconds: count for count, seconds in self.seconds.items() if count > 1}
        if not rivals:
            return "1 thread"
        gain = self.seconds[1] / min(rivals)
        short = ", too little for so short a step" if gain > _SAME else ""
        return f"1 thread ({in_threads(rivals[min(rivals)])} {gain:.2f}x{short})"


def time_threads(trial: Trial, cores: int, *, has_time: Callable[[], bool]) -> ThreadTimes:
    """Time steps of ``trial`` with 1, 2, 4, … up to ``cores`` threads, for as long as more threads help.

    Args:
        trial: what makes the steps; its first ones are done.
        cores: the largest number to try.
        has_time: whether another visit may be made.
    """
    # One thread is timed without its neighbours, others with them: on busy cores the balance tips to one thread.
    seconds, stalled = {1: trial.seconds if trial.is_long or not has_time() else trial.visit(own=True)}, None
    for count in thread_counts(cores):
        if not has_time():
            break
        if stalls(count):
            stalled = count
            break
        fastest = min(seconds.values())
        seconds[count], helps = _first_visits(trial, count, fastest)
        if not helps:
            break
    return ThreadTimes(_timed_again(trial, seconds, has_time), stalled)


def thread_counts(cores: int) -> list[int]:
    """What is tried beside one thread: powers of two, and all cores.

    >>> thread_counts(1), thread_counts(6)
    ([], [2, 4, 6])
    """
    powers = {2**power for power in range(1, cores.bit_length())}
    return sorted({power for power in powers if power < cores} | ({cores} - {1}))


def _first_visits(trial: Trial, count: int, fastest: float) -> tuple[float, bool]:
    """Seconds of a step with ``count`` threads, and whether still more threads are worth a try."""
    slowest = _HOPELESS * fastest + _WAKING
    first = trial.visit(count=1, threads=count)
    if slowest < first < _HELD_UP * slowest:
        first = trial.visit(count=1, threads=count)
    if first > slowest:
        return first, False
    # A library builds its kernels anew for another number of threads: the first step may be slow for that alone, which
    # made a ResNet's two threads look worse than one.
    enough = trial.is_long and _SAME * first <= fastest
    seconds = first if enough else trial.visit(threads=count)
    return seconds, seconds <= _WORSE * fastest


def _timed_again(trial: Trial, seconds: dict[int, float], has_time: Callable[[], bool]) -> dict[int, float]:
    """Medians over several visits, in turn, for the numbers of threads that are close to the fastest."""
    close = [count for count, value in seconds.items() if value <= _CLOSE * min(seconds.values())]
    samples = {count: [seconds[count]] for count in close}
    rounds = 1 if trial.is_long else _ROUNDS
    for _ in range(rounds if len(close) > 1 else 0):
        for count in close if has_time() else ():
            samples[count].append(trial.visit(threads=count, warm=not trial.is_long, own=count == 1))
    return {**seconds, **{count: median(values) for count, values in samples.items()}}


def stalls(count: int) -> bool:
    """Whether ``count`` threads wait for one another far longer than they work, as they do on busy cores.

    A thread without a core holds up every parallel operation for a slice of the scheduler's time, some 10 ms; a step of
    a ResNet has hundreds of them and would take seconds to find out.
    """
    x = torch.zeros(1 << 18)

    def five_operations(count: int) -> float:
        with threads(count):
            begin = time.perf_counter()
            for _ in range(5):
                x.add_(1.0)
            return time.perf_counter() - begin

    alone = min(five_operations(1) for _ in range(3))
    return min(five_operations(count) for _ in range(3)) > _HOPELESS * alone + _WAKING
