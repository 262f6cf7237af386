from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from torch import Tensor, nn

from mlkit.population import Member, train_many
from mlkit.population.processes import Crew
from tests.population.alone import CLASSES, split_of

DATA = split_of((6,), 41, seed=0)


class _Dies(nn.Module):
    """Takes its process with it, as a crash in a library would."""

    def __init__(self, number: int | None) -> None:
        super().__init__()
        self.layer, self.number = nn.Linear(6, CLASSES), number

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            if self.number is None:
                os._exit(3)
            os.kill(os.getpid(), self.number)
        result: Tensor = self.layer(x)
        return result


def test_a_worker_that_dies_is_a_failed_member_with_the_reason() -> None:
    def make_model(member: Member) -> nn.Module:
        torch.manual_seed(member.seed)
        models = {1: _Dies(signal.SIGKILL), 3: _Dies(None)}
        return models.get(member.seed, nn.Linear(6, CLASSES)).double()

    with torch.random.fork_rng():
        results = train_many(
            make_model,
            [Member(seed=k) for k in range(6)],
            DATA,
            max_epochs=2,
            batch_size=8,
            backend="processes",
            workers=2,
            device="cpu",
        )
    assert [each.status for each in results] == ["completed", "failed", "completed", "failed", "completed", "completed"]
    assert results[1].reason == "its process was ended by SIGKILL"
    assert results[3].reason == "its process ended with exit code 3"


def test_a_long_job_holds_up_nobody() -> None:
    done: list[int] = []

    def work(job: int) -> bytes:
        time.sleep(1.0 if job == 0 else 0.01)
        return bytes([job])

    with Crew(work, 2) as crew:
        for job, answer in crew.results(range(6)):
            assert answer == bytes([job])
            done.append(job)
    assert sorted(done) == list(range(6))
    assert done[-1] == 0


def test_no_worker_outlives_an_error() -> None:
    def work(job: int) -> bytes:
        time.sleep(0 if job == 0 else 60)
        return b""

    begun = time.monotonic()
    workers = []
    with pytest.raises(KeyError), Crew(work, 3) as crew:  # noqa: PT012
        for _ in crew.results(range(3)):
            workers = [process for process, _ in crew.workers.values()]
            raise KeyError
    assert time.monotonic() - begun < 30
    assert len(workers) == 2
    assert not any(process.is_alive() for process in workers)
