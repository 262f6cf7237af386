"""One watched program: its recorders, its facts, and the moments at which probes are run in forked children.

Not here: the recorders (`observe`), the probes, the judgement (`rules`, `diagnose`), the display (`present`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.debug import experiment
from mlkit.debug.facts import CallFacts, Facts
from mlkit.debug.observe.backward import BackwardWatch
from mlkit.debug.observe.crash import error_facts
from mlkit.debug.observe.data import DataWatch
from mlkit.debug.observe.functions import FunctionWatch
from mlkit.debug.observe.loaders import LoaderWatch
from mlkit.debug.observe.modules import ModuleWatch
from mlkit.debug.observe.optimizers import OptimizerWatch
from mlkit.debug.observe.patches import Patches
from mlkit.debug.observe.rolls import RollWatch
from mlkit.debug.observe.schedulers import SchedulerWatch
from mlkit.debug.observe.structure import StructureWatch
from mlkit.debug.observe.weights import WeightWatch
from mlkit.debug.running import ProbeRunner
from mlkit.debug.scene import Scene
from mlkit.debug.sites import Locator, Site
from mlkit.debug.trace import Call, Trace, tensors_in
from mlkit.debug.trials import Trial

TRACED_STEPS = 3
"""Steps whose torch calls are recorded one by one; the first scene is the first backward of these."""
PHASES = 3  # of training that are looked at in detail: an optimiser made after the first step begins a new one
SCENES_OF_TRAINING = 5
"""Lines of backward that are looked at: programs with more (a dozen losses) say the same in most."""
BUDGET = 20.0
"""Most processor time in seconds that the probes of all scenes take together, unless told otherwise."""


class Session:
    """Everything that is recorded of one program, and the switches of its recorders.

    Args:
        window: optimiser steps that are looked at in detail.
        own: folders whose code is the user's even within a library's folder.
        probes: whether children are forked at all.
        budget: seconds of processor time for the probes of all scenes together.
    """

    def __init__(
        self, *, window: int = 20, own: tuple[str, ...] = (), probes: bool = True, budget: float = BUDGET
    ) -> None:
        self.facts = Facts(window=window)
        self.locator = Locator(own)
        self.trace = Trace()
        self.is_recording = False
        self.is_tracing = False
        self.overhead = 0.0
        self.trial: Trial | None = None
        """In a trial's own process: what it changes. None in the program itself."""
        self.parked: experiment.Parked | None = None
        self.on_news: Callable[[], None] | None = None
        """Called when facts were added that may prove something."""
        self._window = window
        self._probes = ProbeRunner(self.facts, budget=budget, is_on=probes)
        self._patches = Patches()
        self._functions = FunctionWatch(self)
        self.modules = ModuleWatch(self)
        self.backward = BackwardWatch(self)
        self.optimizers = OptimizerWatch(self)
        self.loaders = LoaderWatch(self)
        self.schedulers = SchedulerWatch(self)
        self.weights = WeightWatch(self)
        self.rolls = RollWatch(self)
        self.structure = StructureWatch(self)
        self.data = DataWatch(self)
        self._scenes: set[str] = set()
        self._places: set[tuple[str, int, int]] = set()
        self._first_place: tuple[str, int, int] | None = None
        self._evaluation: tuple[Call, CallFacts] | None = None
        self._evaluations = 0
        self._is_compiled = False
        self._tracing = False  # what is_tracing is outside of `quietly`
        self._quiet = 0
        self._errors = 0

    # ---------------------------------------------------------------- on and off

    def start(self) -> None:
        """Put the recorders in place."""
        if not self._probes.is_on:
            self.facts.skipped.append(("probes and trials", "switched off"))
        for watch in (self.backward, self.optimizers, self.loaders, self.schedulers, self.weights, self.structure):
            watch.start(self._patches)
        self.data.start(self._patches)
        self.modules.watch(self._patches)
        self._patches.around(torch, "compile", self._around_compile)
        for kind in (torch.no_grad, torch.inference_mode):
            self._patches.around(kind, "__enter__", self._around_no_grad)
        self.modules.start()
        self._functions.start()
        _ACTIVE.add(self)
        self.is_recording = True
        self._set_tracing(True)

    def stop(self) -> None:
        """Resolve what was left open, and take the recorders away."""
        if self.is_recording:
            with self.quietly():
                self._look_at_evaluation()
                self.weights.look_again()
                self.rolls.look_again()
                self.structure.look_again()
                self.backward.give_up_waiting()
        self.is_recording = self.is_tracing = False
        _ACTIVE.discard(self)
        self._functions.stop()
        self.modules.stop()
        self.optimizers.stop()
        self.structure.stop()
        self.data.stop()
        self._patches.undo()

    def _around_no_grad(self, original: Any) -> Any:
        def call(context: Any) -> Any:
            if self.is_recording and self.awaits_evaluation:
                frame = sys._getframe(1)
                if frame.f_code.co_filename.endswith("_contextlib.py") and frame.f_back is not None:
                    frame = frame.f_back  # as a decorator of a function
                if self.locator.is_user_code(frame.f_code):
                    self.evaluation_may_begin()
            return original(context)

        return call

    def _around_compile(self, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self.is_recording and not self._is_compiled:
                self._is_compiled = True
                self.facts.notes.append("torch.compile is used: modules are looked at from outside only")
                self._functions.stop()
                self.modules.stop()
                self._set_tracing(False)
            return original(*args, **kwargs)

        return call

    def failed(self, where: str, error: Exception) -> None:
        """An error of our own: note it, and never let it reach the program."""
        self._errors += 1
        if self._errors <= 5:
            self.facts.skipped.append((where, f"internal error: {type(error).__name__}: {error}"))
        if os.environ.get("MLKIT_DEBUG_SELF"):
            raise error

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
        """Our own torch calls: not recorded, without a graph, their time counted, their errors kept from the user."""
        recording, begin = self.is_recording, time.perf_counter()
        self.is_recording = self.is_tracing = False
        self._quiet += 1
        try:
            with torch.no_grad():
                yield
        except Exception as error:
            self.failed("observation", error)
        finally:
            self._quiet -= 1
            self.is_recording, self.is_tracing = recording, self._tracing and not self._quiet
            self.overhead += time.perf_counter() - begin

    def _set_tracing(self, on: bool) -> None:
        self._tracing = on
        self.is_tracing = on and not self._quiet

    @property
    def step(self) -> int:
        """Optimiser steps taken, over all optimisers."""
        return self.facts.total_steps

    @property
    def awaits_evaluation(self) -> bool:
        """Whether an evaluation is still to be looked at: the first, and the first on other data than training's."""
        return not {"eval", "validation"} <= self._scenes

    @property
    def is_detailed(self) -> bool:
        return self.facts.total_steps - self.facts.phases[-1] < self._window

    @property
    def _is_traced(self) -> bool:
        """Whether the current step is one of the first of its phase."""
        if self.facts.total_steps - self.facts.phases[-1] < TRACED_STEPS:
            return True
        # An optimiser waits for its first step (a generator, every fifth step): its backward has not been seen yet.
        return self.step < self._window and any(not one.steps for one in self.facts.optimizers.values())

    # ---------------------------------------------------------------- what the recorders tell

    def before_call(self, module: nn.Module) -> None:
        """The user's code is about to call a module."""
        if self.trial is not None or not self.awaits_evaluation:
            return
        if self._evaluation is None and self._is_second_call(module):
            self._evaluation = self.backward.pending[-1]
        if self._evaluation is not None and next(module.parameters(), None) is not None:
            with self.quietly():
                self._look_at_evaluation()

    def _is_second_call(self, module: nn.Module) -> bool:
        # Of one model without a backward between, in a program that calls it once for each: the first was evaluation.
        pending = self.backward.pending
        return (
            bool(pending)
            and self.backward.calls_per_backward == 1
            and pending[-1][0].module is module
            and self.step > 0
        )

    def after_call(self, call: Call) -> None:
        """The user's code called a module."""
        if self.is_tracing:
            self.trace.calls.append(call)
        if not call.has_parameters or self.trial is not None:
            return
        with self.quietly():
            note = self.modules.note_call(call, loader=self.loaders.last)
            if note is None:
                if not self.is_detailed:
                    self.modules.stop()
                return
            if call.grad_enabled:
                self.backward.pending.append((call, note))
                del self.backward.pending[:-16]
            elif self._evaluation is None and self.step > 0 and self.awaits_evaluation:
                self._evaluation = (call, note)
            for since in self.optimizers.since():
                since.forwards += call.training

    def evaluation_may_begin(self) -> None:
        """Evaluation mode was set, or a pass over another loader began: look closely until the first one is over."""
        if self.step > 0 and self.awaits_evaluation and self.trial is None:
            self._trace_again()

    def phase_may_begin(self) -> None:
        """An optimiser was made, or a layer exchanged: after the first step a new phase, looked at like the first."""
        if self.step <= self.facts.phases[-1] or len(self.facts.phases) >= PHASES or self.trial is not None:
            return
        self.facts.phases.append(self.step)
        self._trace_again()

    def _trace_again(self) -> None:
        if self._is_compiled:
            return
        self.modules.start()
        if not self._tracing:
            self.trace = Trace()
            self._functions.start()
            self._set_tracing(True)

    def backward_begins(self, loss: Tensor, site: Site | None) -> None:
        """The user's code is about to call backward on one number."""
        if self._evaluation is not None and self._evaluation[1].led_to_backward:
            self._evaluation = None
        place = (site.file, site.line, len(self.facts.phases)) if site else ("?", 0, len(self.facts.phases))
        if self._is_due_again(place):
            self._scenes.add("later")
            calls = [one for one in self.trace.calls if one.has_parameters]
            with self.quietly():
                self._run_probes("later", Scene(self, self.trace, loss, calls[-1] if calls else None, site))
        if not self.is_tracing or not self._is_traced or place in self._places:
            return
        if len(self._places) < SCENES_OF_TRAINING:
            self._places.add(place)
            self._first_place = self._first_place or place
            name = "train" if len(self._places) == 1 else f"train{len(self._places)}"
            self._look_at_training(name, loss, site)

    def _is_due_again(self, place: tuple[str, int, int]) -> bool:
        """Whether this is the first line of backward again, two steps on: what did the first steps do, what is kept?"""
        is_known = place in self._places and self._first_place == place
        return is_known and self.is_tracing and self.step >= 2 and "later" not in self._scenes and self.trial is None

    def step_taken(self) -> None:
        """An optimiser stepped: a new segment begins."""
        self.backward.give_up_waiting()
        self.facts.total_steps += 1
        if self.is_tracing and self._evaluation is None:
            self.trace = Trace()
            if not self._is_traced:
                self._functions.stop()
                self._set_tracing(False)
        if self.facts.total_steps - self.facts.phases[-1] in (1, 2, 5, self._window) and self.on_news is not None:
            with self.quietly():
                self.on_news()

    def updated_by_hand(self) -> None:
        """Weights changed without an optimiser between two backward passes: that was a step."""
        self.facts.total_steps += 1
        if not self._is_traced and self.is_tracing and self._evaluation is None:
            self.trace = Trace()
            self._functions.stop()
            self._set_tracing(False)

    def record_in_child(self) -> None:
        """In a probe: record what the model does when it is called again; no scene begins there."""
        self._scenes.add("eval")
        if self._quiet:
            self._quiet = 0
            self._functions.push()
        self.is_recording = True
        self.trace_in_trial()

    def trace_in_trial(self) -> None:
        """In a trial: trace from here on, whatever the phase."""
        self.modules.start()
        self._functions.start()
        self._set_tracing(True)

    def backward_refused(self, loss: Tensor, site: Site | None) -> None:
        """Backward is about to be called on a loss that no gradient leads back from: it will raise."""
        if self.is_tracing and "refused" not in self._scenes and self.trial is None:
            self._scenes.add("refused")
            with self.quietly():
                self.rolls.know_held()
            self._look_at_training("refused", loss, site)

    def crashed(self, error: BaseException) -> None:
        """The program ended with an exception."""
        with self.quietly():
            self.facts.error = error_facts(error, self)

    # ---------------------------------------------------------------- scenes

    def _look_at_evaluation(self) -> None:
        """An evaluation call is over (the next has begun, or the program ended): look at it in children."""
        if self._evaluation is None or self.trial is not None:
            return
        (call, _), self._evaluation = self._evaluation, None
        if not self.awaits_evaluation or call not in self.trace.calls:
            return
        scene = Scene(self, self.trace, None, call, call.site)
        is_of_training, is_first = self.data.is_training_data(scene), "eval" not in self._scenes
        if is_first:
            self._scenes.add("eval")
            self._run_probes("eval", scene)
        self._evaluations += 1
        is_reference = is_first and self.facts.shares_items  # beside the real one: look at the next as well
        if not (is_of_training or is_reference) or self._evaluations > 50:
            self._scenes.add("validation")
            if not is_first:
                self._run_probes("validation", scene)
        self.trace = Trace()

    def _look_at_training(self, name: str, loss: Tensor, site: Site | None) -> None:
        """The first backward at a line: look at model, batch, loss and graph in children; keep one parked there."""
        calls = [one for one in self.trace.calls if one.has_parameters]
        with self.quietly():
            trained = [one for one in calls if any(made.requires_grad for made in tensors_in(one.output))]
            scene = Scene(self, self.trace, loss, next(reversed(trained or calls), None), site)
            self.data.look(scene)
            self._run_probes(name, scene)
        if name != "train" or not self._probes.is_on or experiment.obstacle() or experiment.is_child():
            return
        parked = experiment.Parked()
        change = parked.park()
        if change is None:
            self.parked = parked
            return
        # From here on this is a trial's own process: a copy of the program that goes on with a change.
        self._set_tracing(False)
        self.trial = Trial(change, self)
        with self.quietly():
            self.trial.before_backward(loss, site)

    def _run_probes(self, name: str, scene: Scene) -> None:
        if self._probes.run(name, scene) and self.on_news is not None:
            self.on_news()


_ACTIVE: weakref.WeakSet[Session] = weakref.WeakSet()


def _forked() -> None:
    # A DataLoader's worker or a process of the user's own is not watched; our own children go on.
    if not experiment.is_forking():
        for session in list(_ACTIVE):
            session.is_recording = session.is_tracing = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
