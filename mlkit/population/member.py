"""`Member`: the settings of one run of a population, whatever back end carries it out.

Not here: the structure of its model, which is what ``make_model(member)`` returns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor, nn

from mlkit.data.batches import Augment
from mlkit.engine.checkpoint import digest
from mlkit.engine.optimizers import OptimizerName, make_optimizer
from mlkit.engine.schedules import Schedule, ScheduleName, make_schedule
from mlkit.errors import ConfigError, Problem

Plain = int | float | str | bool | None


@dataclass(frozen=True, eq=False)  # tensors have no single truth value to compare by
class Member:
    """Settings of one run. Those of the optimiser and the schedule mean what they mean for `make_optimizer` and
    `make_schedule`.

    Args:
        seed: root of the order of examples, of augmentation and of dropout; ``make_model`` may use it for the weights.
        optimizer: ``"adam"``, ``"adamw"`` or ``"sgd"``.
        lr: learning rate.
        weight_decay: pulls weights, not biases and norms, to zero.
        betas: of Adam.
        eps: of Adam.
        momentum: of SGD.
        nesterov: of SGD.
        schedule: name, or a function of the steps done; None is constant.
        warmup_steps: of a schedule by name.
        final_factor: of a schedule by name.
        step_every: of the schedule ``"step"``.
        gamma: of the schedule ``"step"``.
        clip_norm: largest 2-norm of this member's own gradient.
        dropout: probability that all ``nn.Dropout`` of the model get; None leaves them as they are.
        label_smoothing: of the loss that is trained with; members are judged without it, so that they compare.
        augment: changes this member's training batches at random.
        rows: indices of the training examples that the member sees, int64 ``(n,)``: a half, a fold. None: all.
        weights: one weight a training example, ``(N,)``, 0 or more, such as Poisson counts of a bootstrap; a batch's
            loss is the weighted mean. With ``rows`` they still count the whole training split. Not for a bundle
            whose batches a loader makes. Augmentation that mixes examples mixes across weights.
        data_seed: root of the order of examples, if it is not to be ``seed``; members that share it, and see all rows,
            share their batches, which is faster.
        name: for tables.
        tags: plain values of the user's own, kept with the results.

    Raises:
        ConfigError: values out of range, all reported together.

    >>> Member(seed=1, lr=0.01).lr
    0.01
    """

    seed: int = 0
    optimizer: OptimizerName = "adam"
    lr: float = 3e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False
    schedule: Schedule | ScheduleName | None = None
    warmup_steps: int = 0
    final_factor: float = 0.0
    step_every: int | None = None
    gamma: float = 0.1
    clip_norm: float | None = None
    dropout: float | None = None
    label_smoothing: float = 0.0
    augment: Augment | None = None
    rows: Tensor | None = None
    weights: Tensor | None = None
    data_seed: int | None = None
    name: str = ""
    tags: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        try:
            make_member_optimizer(self, nn.Linear(1, 1, device="meta"))
        except ConfigError as error:
            problems += error.problems
        for what, value, fine, allowed in (
            ("clip_norm", self.clip_norm, self.clip_norm is None or self.clip_norm > 0, "a number > 0"),
            ("dropout", self.dropout, self.dropout is None or 0 <= self.dropout < 1, "a number in [0, 1)"),
            ("label_smoothing", self.label_smoothing, 0 <= self.label_smoothing < 1, "a number in [0, 1)"),
        ):
            if not fine:
                problems.append(Problem(f"{what} of a member is not usable", repr(value), allowed))
        problems += [*_rows_problems(self.rows), *_weights_problems(self.weights)]
        if problems:
            raise ConfigError(problems)

    @property
    def order_seed(self) -> int:
        """Root of the order of examples."""
        return self.seed if self.data_seed is None else self.data_seed

    def describe(self) -> dict[str, object]:
        """The settings as plain values: functions by name, tensors by size and digest."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def make_member_optimizer(member: Member, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of a member over its model."""
    return make_optimizer(
        model,
        name=member.optimizer,
        lr=member.lr,
        weight_decay=member.weight_decay,
        betas=member.betas,
        eps=member.eps,
        momentum=member.momentum,
        nesterov=member.nesterov,
    )


def make_member_schedule(member: Member, total_steps: int | None) -> Schedule | None:
    """The factor on the member's learning rate; None where it is 1 throughout.

    Raises:
        ConfigError: the schedule does not fit a run of ``total_steps``.
    """
    if member.schedule is None or (member.schedule == "constant" and not member.warmup_steps):
        return None
    if not isinstance(member.schedule, str):
        return member.schedule
    return make_schedule(
        member.schedule,
        total_steps=total_steps,
        warmup_steps=member.warmup_steps,
        final_factor=member.final_factor,
        step_every=member.step_every,
        gamma=member.gamma,
    )


def _rows_problems(rows: Tensor | None) -> list[Problem]:
    if rows is None:
        return []
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1 or not len(rows):
        shape = f"{tuple(rows.shape)} {rows.dtype}" if isinstance(rows, Tensor) else type(rows).__name__
        todo = "torch.as_tensor(rows).long(); of a mask mask.nonzero()[:, 0]"
        return [Problem("rows of a member are no indices", shape, "an int64 tensor (n,), n >= 1", todo)]
    return []


def _weights_problems(weights: Tensor | None) -> list[Problem]:
    if weights is None:
        return []
    if not isinstance(weights, Tensor) or weights.ndim != 1:
        shape = str(tuple(weights.shape)) if isinstance(weights, Tensor) else type(weights).__name__
        return [Problem("weights of a member are not one a training example", shape, "a tensor (N,)")]
    low, high = float(weights.min()), float(weights.max())
    if not (low >= 0 and 0 < high < math.inf):
        return [Problem("weights of a member are not usable", f"from {low} to {high}", "0 or more, one above 0")]
    return []


def _plain(value: object) -> object:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)} {digest(value)}"
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return value
