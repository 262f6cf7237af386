"""What would have happened? A trial is a copy of the program that goes on with one change and reports its losses.

Not here: the forking (`mlkit.debug.experiment`), and what is concluded (`mlkit.debug.diagnose`).
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from mlkit.debug import culprit, experiment
from mlkit.debug.gather import Gatherer
from mlkit.debug.graph import leaves_of
from mlkit.debug.sites import Site
from mlkit.debug.trace import Trace, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

Kind = Literal[
    "nothing", "lr", "weight_decay", "momentum", "clip", "clear", "train-mode", "same-batch", "locate", "gather"
]


@dataclass(frozen=True)
class Change:
    """One change to a running program.

    Args:
        kind: what is changed: ``lr`` multiplies every learning rate by `value`; ``weight_decay`` and ``momentum``
            are set to it; ``clip`` limits the total gradient norm to it; ``clear`` clears gradients before the first
            backward after each step; ``train-mode`` puts models in training mode after each step; ``same-batch`` gives
            the loader's same batch again and again; ``locate`` changes nothing, but traces the backward pass of number
            `value` and the one before, and tells the op that made numbers not finite; ``gather`` changes nothing, and
            tells what the batches of training and evaluation show (with a `value`, only what comes after a few steps).
        value: see there.
        steps: steps after which it ends.
        seconds: processor time after which it reports what it has (on a busy machine a wall clock would cut it short).
    """

    kind: Kind = "nothing"
    value: float = 0.0
    steps: int = 60
    seconds: float = 3.0

    @property
    def name(self) -> str:
        """``lr*0.1``, ``weight_decay=0``, ``same-batch``."""
        if self.kind == "lr":
            return f"lr*{self.value:g}"
        return f"{self.kind}={self.value:g}" if self.kind in ("weight_decay", "momentum", "clip") else self.kind


class Trial:
    """In the trial's own process: makes the change, collects the losses, and ends the process with them."""

    def __init__(self, change: object, session: Session) -> None:
        assert isinstance(change, Change)
        self.change = change
        self._begin = time.process_time()
        self._losses: list[float] = []
        self._steps: list[int] = []
        self._step = 0
        self._hooked: dict[int, Tensor] = {}
        self._restore: list[tuple[dict[str, Any], str, Any]] = []
        self._fresh = True
        self._hidden: bool | None = None
        self._batch: object = None
        self._session = session
        self._gatherer = Gatherer(session) if change.kind == "gather" else None
        if self._gatherer is not None:
            session.trace_in_trial()
        experiment.tell_when_refused(self._so_far)  # a checkpoint written ends the trial, not what it saw until then

    def before_backward(self, tensors: object, site: Site | None = None) -> None:
        """Collect a loss; clear gradients where that is the change."""
        every = tensors_in(tensors)
        if every and every[0].numel() == 1:
            self._losses.append(float(every[0].detach()))
            self._steps.append(self._step)
        if self.change.kind == "locate" and every:
            self._locate(every[0])
        if self._gatherer is not None and every:
            self._gatherer.at_backward(every[0], site)
        spent = time.process_time() - self._begin
        if self._step > self.change.steps or len(self._losses) > 64 * self.change.steps or self._is_over(spent):
            self.finish()
        if every and not self._session.optimizers.live() and not self._has_hidden_optimizer(every[0]):
            self._without_optimizer(every[0])
        if self.change.kind == "clear" and self._fresh:
            for optimizer in self._session.optimizers.live():
                for tensor in _parameters(optimizer):
                    tensor.grad = None
        self._fresh = False

    def _is_over(self, spent: float) -> bool:
        if spent > self.change.seconds or self._gatherer is None:
            return spent > self.change.seconds
        return self._gatherer.is_full or (bool(self.change.value) and self._gatherer.has_seen_both)

    def _locate(self, loss: Tensor) -> None:
        index, wanted, session = len(self._losses) - 1, int(self.change.value), self._session
        if index >= wanted - 1:
            with torch.enable_grad():
                found = culprit.of_loss(session.trace, loss) or culprit.of_gradient(session.trace, loss)
            if found or index > wanted:
                experiment.finish(experiment.own_writer(), (found, None))
        if index >= wanted - 2:
            session.trace_in_trial()

    def _has_hidden_optimizer(self, loss: Tensor) -> bool:
        """Whether an optimiser that was made before the program was watched holds what the loss depends on."""
        if self._hidden is None:
            every = [one for one in gc.get_objects() if issubclass(type(one), Optimizer)]
            held = {id(tensor) for one in every for tensor in _parameters(one)}
            self._hidden = any(id(leaf) in held for leaf in leaves_of(loss))
        return self._hidden

    def _without_optimizer(self, loss: Tensor) -> None:
        # Weights are updated by hand: what multiplies the step there is the gradient.
        self._step += 1
        if self.change.kind != "lr":
            return
        for leaf in leaves_of(loss):
            if id(leaf) not in self._hooked:
                self._hooked[id(leaf)] = leaf
                leaf.register_hook(lambda gradient: gradient * self.change.value)  # type: ignore[no-untyped-call]

    def before_step(self, optimizer: Optimizer) -> None:
        """Change what the step is taken with."""
        if self.change.kind in ("lr", "weight_decay", "momentum"):
            for group in optimizer.param_groups:
                if self.change.kind in group:
                    old = group[self.change.kind]
                    self._restore.append((group, self.change.kind, old))
                    group[self.change.kind] = old * self.change.value if self.change.kind == "lr" else self.change.value
        elif self.change.kind == "clip":
            gradients = [tensor.grad for tensor in _parameters(optimizer) if tensor.grad is not None]
            if gradients:
                norm = torch.stack(torch._foreach_norm(gradients)).norm()
                torch._foreach_mul_(gradients, min(1.0, self.change.value / (float(norm) + 1e-12)))

    def after_step(self, optimizer: Optimizer) -> None:
        """Put settings back, so that schedules go on from their own."""
        for group, name, old in self._restore:
            group[name] = old
        self._restore = []
        self._fresh = True
        self._step += 1
        if self.change.kind == "locate":
            self._session.trace = Trace()
        if self.change.kind == "train-mode":
            for module in self._session.modules.models():
                module.train()

    def batch(self, batch: object) -> object:
        """The batch to train on instead of the one that was fetched."""
        if self.change.kind != "same-batch":
            return batch
        if self._batch is None:
            self._batch = batch
        return self._batch

    def finish(self) -> None:
        """Send the losses, with the step before which each came, and end this process."""
        experiment.finish(experiment.own_writer(), (self._so_far(), None))

    def _so_far(self) -> dict[str, object]:
        spent = time.process_time() - self._begin
        told = {"losses": self._losses, "steps": self._steps, "seconds": spent}
        return (
            {**told, "gathered": self._gatherer.measured(is_short=bool(self.change.value))}
            if self._gatherer is not None
            else told
        )


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]
