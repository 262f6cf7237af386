"""Ctrl-C and SIGTERM: the step under way is finished, so what is saved is whole; a second one is obeyed at once.

Not here: saving (`mlkit.engine.checkpoint`) and what a command prints then (`mlkit.config.run`).
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mlkit.engine.state import TrainState


@contextmanager
def stop_after_step(state: TrainState) -> Iterator[None]:
    """While inside, the first SIGINT or SIGTERM sets ``state.stop_reason`` and ``state.signal``; handlers are put back.

    Outside the main thread Python allows no handlers, so there an interrupt acts as it always does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = {number: signal.getsignal(number) for number in numbers}

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        state.stop_reason = f"interrupted by {signal.Signals(number).name}"
        state.signal = number
        for each in numbers:
            signal.signal(each, before[each])

    # A handler that someone else has set (a notebook, a launcher) is theirs: only Python's defaults are replaced.
    ours = [n for n in numbers if before[n] in (signal.default_int_handler, signal.SIG_DFL)]
    for number in ours:
        signal.signal(number, ask_to_stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
