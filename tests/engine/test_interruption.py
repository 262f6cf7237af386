from __future__ import annotations

import os
import signal

import pytest
import torch
from torch import nn

from mlkit.engine.interruption import stop_after_step
from mlkit.engine.state import TrainState


def _state() -> TrainState:
    model = nn.Linear(1, 1)
    return TrainState(model, torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_the_run_to_stop(number: int) -> None:
    state = _state()
    with stop_after_step(state):
        os.kill(os.getpid(), number)
    assert state.signal == number
    assert "interrupted by SIG" in str(state.stop_reason)


def test_the_second_ctrl_c_is_obeyed_at_once() -> None:
    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with stop_after_step(_state()):
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_after_step(_state()):
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
