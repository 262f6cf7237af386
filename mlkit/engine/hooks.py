"""Hooks: the seven moments of a run at which other code may look on or step in.

Not here: what hooks do with them; see `mlkit.engine.stopping`, `mlkit.engine.checkpoint`, `mlkit.tracking`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mlkit.data.splits import Batch
from mlkit.engine.state import SplitMetrics, TrainState


class Hook:
    """Base class: override the moments you need; those left alone cost nothing.

    A hook must not read a device value in `on_step_end` at every step (`loss.item()` waits for the device).
    """

    def on_fit_start(self, state: TrainState) -> None:
        """Before the first step; also after a resume."""

    def on_epoch_start(self, state: TrainState) -> None:
        """Before the first batch of an epoch, or where a resumed epoch goes on."""

    def on_step_start(self, state: TrainState, batch: Batch) -> None:
        """Before the forward pass of a batch."""

    def on_gradients(self, state: TrainState) -> None:
        """Gradients are complete and clipped; the optimiser has not stepped yet."""

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        """The optimiser has stepped; ``loss`` is the last batch's, still on the device."""

    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        """After an epoch ``split``, ``"train"``, ``"val"`` or ``"target_val"``, was evaluated and noted in the history.

        ``metrics`` maps a metric's name to its `Estimate`. ``"train"`` is a fixed sample of the training examples.
        """

    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        """The run is over, in whatever way: ``state.status`` says how, ``error`` is what ended it, if anything did.

        Unless it was interrupted or failed, ``state.metrics`` now holds the final evaluation of every whole split.
        """


MOMENTS = (
    "on_fit_start",
    "on_epoch_start",
    "on_step_start",
    "on_gradients",
    "on_step_end",
    "on_evaluation",
    "on_fit_end",
)


def listeners(hooks: Sequence[Hook], moment: str) -> list[Callable[..., Any]]:
    """The bound methods of those hooks that override ``moment``, in order; an empty list costs the loop nothing."""
    left_alone = getattr(Hook, moment)
    return [getattr(hook, moment) for hook in hooks if getattr(type(hook), moment, left_alone) is not left_alone]
