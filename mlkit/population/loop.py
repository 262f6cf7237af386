"""The back end ``loop``: one member after another through the engine's own loop; what all others are held against.

Not here: the loop itself (`mlkit.engine.loop`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlkit.data.splits import Batch
from mlkit.engine.evaluation import evaluate_model
from mlkit.engine.hooks import Hook
from mlkit.engine.loop import Plan, train
from mlkit.engine.optimizers import match_layout
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.errors import MlkitError, NonFiniteLossError
from mlkit.population.backend import BackendName
from mlkit.population.course import Course
from mlkit.population.member import make_member_optimizer
from mlkit.population.run import Run
from mlkit.population.stacked.dropout import KeyedDropout, KeyedLSTM, set_step
from mlkit.runtime import rng
from mlkit.runtime.keys import derive_seed


class Loop:
    """One member after another, epoch by epoch."""

    name: BackendName = "loop"
    by_epoch = True

    def __init__(self, runs: Sequence[Run], course: Course) -> None:
        self.runs = list(runs)
        self.solos = [Solo(run, course) for run in runs]

    def advance(self, epoch: int, *, told: Callable[[], None]) -> None:
        for solo in self.solos:
            solo.advance(epoch)
        told()

    def select(self, places: Sequence[int]) -> None:
        self.runs = [self.runs[place] for place in places]
        self.solos = [self.solos[place] for place in places]

    def export(self, place: int) -> dict[str, Any]:
        return self.solos[place].export()

    def restore(self, exports: Sequence[Mapping[str, Any]]) -> None:
        for solo, content in zip(self.solos, exports, strict=True):
            solo.restore(content)

    def finish(self) -> None:
        for solo in self.solos:
            solo.finish()

    def deliver(self, place: int) -> None:
        self.solos[place].deliver()


class Solo:
    """One member, trained alone as `fit` would train it, an epoch or more at a time.

    What draws from the process-wide random streams finds there what it would find if nothing else ran.
    """

    def __init__(self, run: Run, course: Course) -> None:
        self.run, self.course = run, course
        member = run.settings
        self.model = run.trainee().to(course.device)
        self.judged = course.judged_of(member)
        self.plan = Plan(
            course.training_of(member),
            course.step_of(member),
            max_epochs=None,
            clip_norm=member.clip_norm,
            schedule=course.schedule_of(member),
            evaluate=self._watch,
        )
        self.state = self._state()
        self.hooks = [_Steps()] if any(isinstance(m, (KeyedDropout, KeyedLSTM)) for m in self.model.modules()) else []
        with rng.preserved():
            rng.seed_everything(derive_seed(member.seed, "fit"))
            self.streams = rng.capture()

    def advance(self, epoch: int) -> None:
        """Train until ``epoch`` epochs are complete, or it diverges or fails, which its record then says."""
        record = self.run.record
        try:
            with rng.preserved():
                rng.restore(self.streams)
                train(self.state, replace(self.plan, max_epochs=epoch), hooks=self.hooks)
                self.streams = rng.capture()
        except NonFiniteLossError as error:
            record.end("diverged", error.problems[0].what)
        except Exception as error:
            record.end("failed", reason_of(error))
            record.error = error
        self._take_note()

    def finish(self) -> None:
        """Judge all splits, whole."""
        try:
            for split, metrics in self._judge(list(self.judged)).items():
                self.run.record.note(split, metrics, final=True)
        except Exception as error:
            self.run.record.end("failed", reason_of(error))
            self.run.record.error = error

    def deliver(self) -> None:
        """Put the weights into the user's model."""
        self.run.model.load_state_dict(self.model.state_dict())

    def export(self) -> dict[str, Any]:
        """All that the record does not hold."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.state.optimizer.state_dict(),
            "streams": self.streams,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """What `export` gave; the record is already as it was then."""
        self.model.load_state_dict(content["model"])
        self.state = self._state()
        self.state.optimizer.load_state_dict(content["optimizer"])
        match_layout(self.state.optimizer)
        self.streams = content["streams"]

    def _state(self) -> TrainState:
        """A state that goes on where the record stands, and writes into its history and metrics."""
        record = self.run.record
        return TrainState(
            self.model,
            make_member_optimizer(self.run.settings, self.model),
            step=record.step,
            epoch=record.epoch,
            examples=record.examples,
            seconds=record.seconds,
            history=record.history,
            metrics=record.metrics,
        )

    def _take_note(self) -> None:
        record, state = self.run.record, self.state
        record.epoch, record.step, record.examples = state.epoch, state.step, state.examples
        record.seconds = state.seconds

    def _watch(self, state: TrainState) -> dict[str, SplitMetrics]:
        return self._judge(self.course.watched)

    def _judge(self, splits: Sequence[str]) -> dict[str, SplitMetrics]:
        course = self.course
        return {
            name: evaluate_model(self.model, self.judged[name], metrics=course.metrics, loss_fn=course.loss_fn)
            for name in splits
        }


class _Steps(Hook):
    """Tells keyed dropout at which step it is."""

    def on_step_start(self, state: TrainState, batch: Batch) -> None:
        set_step(state.model, state.step)


def reason_of(error: BaseException) -> str:
    """Why a member failed, in one line."""
    text = error.problems[0].what if isinstance(error, MlkitError) else str(error)
    return f"{type(error).__name__}: {text.strip().splitlines()[0]}" if text.strip() else type(error).__name__
