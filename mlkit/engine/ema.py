"""An exponential moving average of the weights, kept by a hook; evaluation then judges the average.

Not here: writing it to disk; a checkpoint holds ``state.averaged.state_dict()`` beside the model's.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mlkit.engine.hooks import Hook
from mlkit.engine.state import TrainState
from mlkit.errors import ConfigError


class Averaging(Hook):
    """Keeps ``state.averaged``, a copy of the model whose weights are a moving average of the trained ones.

    After each step ``averaged = d * averaged + (1 - d) * weights`` with ``d = min(decay, (1 + t) / (10 + t))`` after
    ``t`` earlier updates, so that the start is soon forgotten (the rule of TensorFlow's ``ExponentialMovingAverage``
    with ``num_updates``; Polyak & Juditsky 1992 for averaging as such). Buffers, such as the running statistics of
    BatchNorm, are copied.

    Args:
        decay: memory of the average, about ``1 / (1 - decay)`` steps; larger is smoother and lags more.

    Raises:
        ConfigError: ``decay`` is not in [0, 1).

    >>> Averaging(0.99).decay_after(0), Averaging(0.99).decay_after(10_000)
    (0.1, 0.99)
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(
                "the decay of the weight average is not usable",
                received=repr(decay),
                allowed="a number in [0, 1)",
                todo="try 0.999, or 0.99 for a short run",
            )
        self.decay = decay
        self._pairs: _Pairs | None = None

    def decay_after(self, updates: int) -> float:
        """The decay of the next update when ``updates`` were done."""
        return min(self.decay, (1 + updates) / (10 + updates))

    def on_fit_start(self, state: TrainState) -> None:
        if state.averaged is None:
            state.averaged = averaged_copy(state.model)
        state.extra.setdefault("averaging", {"updates": 0})
        self._pairs = _Pairs(state.averaged, state.model)

    def on_step_end(self, state: TrainState, loss: Tensor) -> None:
        memory = state.extra["averaging"]
        if self._pairs is not None:
            self._pairs.update(self.decay_after(memory["updates"]))
        memory["updates"] += 1

    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        self._pairs = None  # the hook outlives the run; its hold on two models should not


def averaged_copy(model: nn.Module) -> nn.Module:
    """A copy of ``model`` to keep averages in: nothing in it is trained."""
    return copy.deepcopy(model).requires_grad_(requires_grad=False)


class _Pairs:
    """The tensors of the average and of the model side by side, collected once since walking a model is slow."""

    def __init__(self, averaged: nn.Module, model: nn.Module) -> None:
        weights: list[tuple[Tensor, Tensor]] = list(zip(averaged.parameters(), model.parameters(), strict=True))
        buffers = list(zip(averaged.buffers(), model.buffers(), strict=True))
        smooth = [pair for pair in weights if pair[0].is_floating_point()]
        copied = [pair for pair in weights if not pair[0].is_floating_point()] + buffers
        self._averaged: list[Tensor] = [pair[0] for pair in smooth]
        self._weights = [pair[1] for pair in smooth]
        self._copies = [pair[0] for pair in copied]
        self._originals = [pair[1] for pair in copied]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        if self._averaged:
            torch._foreach_lerp_(self._averaged, self._weights, 1.0 - decay)
        if self._copies:
            torch._foreach_copy_(self._copies, self._originals)
