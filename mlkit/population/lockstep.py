"""The back ends ``stacked`` and ``vmap``: members of one bucket as one model with K sets of weights, step by step.

Not here: the stack, its optimiser and its losses (`mlkit.population.stacked`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from mlkit.population.backend import BackendName
from mlkit.population.course import Course
from mlkit.population.feed import Fed, Feed
from mlkit.population.judging import Judge, is_judged_alone
from mlkit.population.loop import reason_of
from mlkit.population.member import Member
from mlkit.population.run import Run
from mlkit.population.stacked.clipping import clip_
from mlkit.population.stacked.fold import StackedLayer
from mlkit.population.stacked.losses import member_losses
from mlkit.population.stacked.optimizers import StackedOptimizer
from mlkit.population.stacked.settings import OptimizerSettings
from mlkit.population.stacked.stack import Stack
from mlkit.runtime import rng

# Without gradients four times as many rows fit where a training batch did; fewer than 4096 only cost calls.
ROWS_JUDGED = 4096
_TIMES_TRAINED = 4
_TORCH_NAMES = {"momentum": "momentum_buffer"}


class Lockstep:
    """Members that train in step.

    Args:
        runs: members of one bucket.
        course: what they share.
        name: ``"stacked"`` or ``"vmap"``.

    Raises:
        CannotStackError: no such stack can be made of them.
    """

    by_epoch = True

    def __init__(self, runs: Sequence[Run], course: Course, name: Literal["stacked", "vmap"]) -> None:
        self.name: BackendName = name
        self.runs, self.course = list(runs), course
        models = [run.trainee().to(course.device) for run in runs]
        with rng.preserved():
            self.stack = _kind(name).of(models, keys=[run.key for run in runs])
            self.optimizer = StackedOptimizer(self.stack, [_settings(run.settings) for run in runs])
        self._prepare()

    def _prepare(self) -> None:
        """What follows from who is there."""
        members = [run.settings for run in self.runs]
        self.feed = Feed(members, self.course)
        self.schedules = [self.course.schedule_of(member) for member in members]
        limits = [float("inf") if member.clip_norm is None else member.clip_norm for member in members]
        self.limits = None if all(limit == float("inf") for limit in limits) else self._tensor(limits)
        smoothing = [member.label_smoothing for member in members]
        self.smoothing = self._tensor(smoothing) if any(smoothing) else None
        first = next(iter(self.stack.parameters.values()))
        batch = -(-self.feed.batches[0].num_examples // len(self.feed))
        rows = max(ROWS_JUDGED if first.device.type == "cpu" else 0, _TIMES_TRAINED * batch * len(members))
        alone = self.runs[0].trainee() if is_judged_alone(self.runs[0].model, self.course.device) else None
        self.judge = Judge(members, self.course, rows=rows, alone=alone)

    def _tensor(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.course.device)

    def advance(self, epoch: int, *, told: Callable[[], None]) -> None:
        while self.runs[0].record.epoch < epoch and any(run.is_active for run in self.runs):
            started = time.perf_counter()
            self._epoch(self.runs[0].record.epoch)
            share = (time.perf_counter() - started) / len(self.runs)
            for run in self.runs:
                run.record.seconds += share
            if not all(run.is_active for run in self.runs):
                break  # the others go on without them
        told()

    def _epoch(self, epoch: int) -> None:
        record = self.runs[0].record
        size, device, start = len(self.runs), self.course.device, record.step
        factors = self.factors(start)
        active = torch.ones(size, dtype=torch.bool, device=device)
        died = torch.full((size,), -1, device=device)
        last = torch.zeros(size, device=device, dtype=torch.float64)
        total = torch.zeros(size, device=device, dtype=torch.float64)
        counts: list[int] = []
        self.stack.train(True)
        for number, fed in enumerate(self.feed.epoch(epoch)):
            before = active
            found, active = self.step(fed, start + number, factors=factors[number], active=active)
            fell = before & ~active
            died, last = torch.where(fell, start + number, died), torch.where(fell, found, last)
            total += found * fed.examples
            counts.append(fed.examples)
        self._take_note(counts, died.tolist(), last.tolist(), total.tolist())

    def step(self, fed: Fed, number: int, *, factors: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
        """One step of all members.

        Args:
            fed: their batches.
            number: steps done before.
            factors: of the learning rates.
            active: the members that are not frozen.

        Returns:
            The losses in float64, and which members are not frozen now: not those whose loss is no number.
        """
        self.stack.set_step(number)
        losses = self.losses(fed)
        found = losses.detach().double()
        active = active & found.isfinite()
        gradients = self.stack.gradients(losses)
        if self.limits is not None:
            clip_(gradients, self.limits)
        self.optimizer.step(gradients, factors=factors, active=active)
        return found, active

    def set_kernels(self, kernels: Mapping[str, str]) -> None:
        """Ways to compute layers, by the layer's name, as `kernels` gives them."""
        for name, module in self.stack.model.named_modules():
            if name in kernels:
                module.kernel = kernels[name]

    def kernels(self) -> dict[str, str]:
        """The layers that are not computed in their default way."""
        return {
            name: module.kernel
            for name, module in self.stack.model.named_modules()
            if isinstance(module, StackedLayer) and module.kernels and module.kernel != module.kernels[0]
        }

    def losses(self, fed: Fed) -> Tensor:
        """The loss of each member, ``(K,)``, with a gradient."""
        return self.losses_of(self.stack.forward(fed.inputs, shared=fed.shared), fed)

    def losses_of(self, outputs: Tensor, fed: Fed) -> Tensor:
        """The loss of each member whose outputs are ``(K, B, …)``."""
        return member_losses(
            self.course.loss_fn,
            outputs,
            fed.targets,
            weights=fed.weights,
            label_smoothing=self.smoothing,
            own_targets=not fed.shared,
        )

    def factors(self, start: int) -> Tensor:
        """Of the learning rates, for all steps of an epoch, ``(S, K)``; on the CPU, where the optimiser wants them."""
        factors = torch.ones(len(self.feed), len(self.runs), dtype=torch.float64)
        for place, schedule in enumerate(self.schedules):
            if schedule is not None:
                values = [schedule(step) for step in range(start, start + len(self.feed))]
                factors[:, place] = torch.tensor(values, dtype=torch.float64)
        return factors

    def _take_note(
        self, counts: Sequence[int], died: Sequence[int], last: Sequence[float], total: Sequence[float]
    ) -> None:
        """Bring the records up to date with an epoch, and judge."""
        start = self.runs[0].record.step
        for place, run in enumerate(self.runs):
            record = run.record
            steps = len(counts) if died[place] < 0 else died[place] - start
            record.step += steps
            record.examples += sum(counts[:steps])
            if died[place] >= 0:
                record.end("diverged", f"the loss became {last[place]} at step {died[place] + 1}")
                continue
            record.epoch += 1
            where = {"step": record.step, "epoch": record.epoch, "split": "running"}
            record.history.append({**where, "loss": total[place] / sum(counts)})
        self._note(self.course.watched, final=False)

    def _note(self, splits: Sequence[str], *, final: bool) -> None:
        if not any(run.is_active for run in self.runs):
            return
        for split in splits:
            for run, metrics in zip(self.runs, self.judge(self.stack, split), strict=True):
                if run.is_active and isinstance(metrics, ArithmeticError):
                    run.record.end("failed", reason_of(metrics))
                    run.record.error = metrics
                elif run.is_active and not isinstance(metrics, ArithmeticError):
                    run.record.note(split, metrics, final=final)

    def select(self, places: Sequence[int]) -> None:
        self.runs = [self.runs[place] for place in places]
        if places:
            self.stack.select(places)
            self.optimizer.select(places)
            self._prepare()

    def export(self, place: int) -> dict[str, Any]:
        return {"model": self.stack.state_dict_of(place), "optimizer": self.optimizer.state_of(place)}

    def restore(self, exports: Sequence[Mapping[str, Any]]) -> None:
        self.stack.load_state_dicts([each["model"] for each in exports])
        states = [each["optimizer"] for each in exports]
        joined = {f"step.{name}": states[0][name]["step"] for name in states[0]}
        for kind in self.optimizer.moments:
            theirs = _TORCH_NAMES.get(kind, kind)
            joined |= {f"{kind}.{name}": torch.stack([each[name][theirs] for each in states]) for name in states[0]}
        self.optimizer.load_state(joined)

    def finish(self) -> None:
        self._note(list(self.course.judged), final=True)

    def deliver(self, place: int) -> None:
        self.runs[place].model.load_state_dict(self.stack.state_dict_of(place))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no room, on whatever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def _kind(name: Literal["stacked", "vmap"]) -> type[Stack]:
    if name == "stacked":
        return Stack
    from mlkit.population.stacked.vmapped import VmapStack

    return cast("type[Stack]", VmapStack)


def _settings(member: Member) -> OptimizerSettings:
    return OptimizerSettings(
        name=member.optimizer,
        lr=member.lr,
        weight_decay=member.weight_decay,
        betas=member.betas,
        eps=member.eps,
        momentum=member.momentum,
        nesterov=member.nesterov,
    )
