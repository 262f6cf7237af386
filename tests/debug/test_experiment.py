from __future__ import annotations

import os
import random
import sys
import time

import numpy as np
import pytest
import torch

from mlkit.debug import experiment
from mlkit.debug.experiment import Parked, measure

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")


def test_a_child_computes_and_the_parent_is_untouched() -> None:
    weights = torch.zeros(3)
    torch.manual_seed(1)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist())

    def spoil() -> float:
        weights.add_(7)
        torch.randn(100), random.random(), np.random.rand(5)
        return float(weights.sum())

    outcome = measure(spoil, seconds=10)
    assert outcome.value == 21.0
    assert outcome.problem is None
    assert weights.sum() == 0
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    assert before[2] == np.random.get_state()[1].tolist()


def test_a_child_draws_what_the_parent_would_draw() -> None:
    random.seed(5)
    torch.manual_seed(5)
    child = measure(lambda: (random.random(), float(torch.rand(()))), seconds=10).value
    assert child == (random.random(), float(torch.rand(())))


def test_a_child_can_go_backward_through_the_live_graph_that_the_parent_still_has() -> None:
    weight = torch.tensor([2.0], requires_grad=True)
    loss = (weight**3).sum()
    outcome = measure(lambda: float(torch.autograd.grad(loss, weight)[0]), seconds=10)
    assert outcome.value == pytest.approx(12.0)
    loss.backward()
    assert float(weight.grad) == pytest.approx(12.0)  # type: ignore[arg-type]


def test_an_exception_is_told_with_its_line_and_does_not_reach_the_parent() -> None:
    outcome = measure(lambda: 1 / 0, seconds=10)
    assert outcome.value is None
    assert outcome.problem is not None
    assert "ZeroDivisionError" in outcome.problem
    assert "test_experiment.py" in outcome.problem


def test_a_child_that_does_not_end_is_killed() -> None:
    begin = time.perf_counter()
    outcome = measure(lambda: time.sleep(60), seconds=0.1)
    assert outcome.problem is not None
    assert "no answer" in outcome.problem
    assert time.perf_counter() - begin < 20


def test_a_child_that_dies_is_told() -> None:
    assert measure(lambda: os._exit(9), seconds=10).problem is not None


def test_what_a_child_prints_is_lost(capfd: pytest.CaptureFixture[str]) -> None:
    measure(lambda: (sys.stdout.write("from the child"), sys.stdout.flush(), os.write(1, b"raw")), seconds=10)
    assert capfd.readouterr().out == ""


def test_a_child_writes_no_file_and_starts_no_process(tmp_path) -> None:  # type: ignore[no-untyped-def]
    target = tmp_path / "mark"
    for act in (
        lambda: target.write_text("x"),
        lambda: os.mkdir(target),
        lambda: os.system(f"touch {target}"),
        lambda: torch.save({}, target),
    ):
        outcome = measure(act, seconds=10)
        assert outcome.value is None
        assert outcome.problem is not None
    assert not target.exists()


def test_a_child_may_read_files() -> None:
    outcome = measure(lambda: len(open(__file__).read()), seconds=10)  # noqa: SIM115
    assert isinstance(outcome.value, int)
    assert outcome.value > 1000


def test_a_parked_program_goes_on_again_and_again_from_the_same_moment() -> None:
    torch.manual_seed(3)
    parked, state = Parked(), torch.zeros(1)
    change = parked.park()
    if change is not None:  # a trial's own process
        state += torch.randn(1) * float(change)  # type: ignore[arg-type]
        experiment.finish(experiment.own_writer(), (float(state), None))
    try:
        expected = float(torch.randn(1))
        assert parked.trial(1.0, seconds=10).value == pytest.approx(expected)
        assert parked.trial(2.0, seconds=10).value == pytest.approx(2 * expected)
        assert parked.trial(1.0, seconds=10).value == pytest.approx(expected)
        assert float(state) == 0
    finally:
        parked.close()
    assert not parked.is_open


def test_after_close_nothing_is_left() -> None:
    parked = Parked()
    if parked.park() is not None:
        os._exit(0)
    pid = parked._pid
    parked.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
