"""Whether a stack computes what its members compute alone: outputs, losses, gradients and buffers, in float64.

Not here: how fast it is (`mlkit.population.probe`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch, Inputs
from mlkit.engine.step import forward
from mlkit.population.course import Course
from mlkit.population.feed import Fed, Feed
from mlkit.population.lockstep import Lockstep
from mlkit.population.record import Record
from mlkit.population.run import Run
from mlkit.population.stacked.dropout import set_step
from mlkit.population.stacked.losses import member_losses
from mlkit.runtime import rng

# Relative to the largest value of a tensor. Two ways to sum float64 differ by some 1e-15 a layer and a mix-up by 1;
# in float32, for models that cannot be float64, by some 1e-6 a layer.
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
MEMBERS_CHECKED = 4


@dataclass(frozen=True)
class Agreement:
    """What the check found.

    Args:
        worst: largest difference, relative to the largest value of its tensor.
        precision: in which it was computed.
        problem: None where all is within tolerance, else what is not.
    """

    worst: float
    precision: torch.dtype
    problem: str | None


def check_agreement(runs: Sequence[Run], course: Course, name: Literal["stacked", "vmap"]) -> Agreement:
    """Compare a stack of a few of the members with those members, on the first batch, in training mode.

    Raises:
        CannotStackError: no such stack can be made of them.
    """
    count = min(MEMBERS_CHECKED, len(runs))
    some = [runs[number * (len(runs) - 1) // max(count - 1, 1)] for number in range(count)]
    fed = next(iter(Feed([run.settings for run in some], course).epoch(0)))
    precision = torch.float64
    try:
        expected = [_alone(run, course, fed, place, precision) for place, run in enumerate(some)]
    except Exception:  # whatever a model says that is written for one precision
        precision = torch.float32
        expected = [_alone(run, course, fed, place, precision) for place, run in enumerate(some)]
    found = _together(some, course, fed, name, precision)
    worst, where = 0.0, ""
    for place, theirs in enumerate(expected):
        for what, tensor in theirs.items():
            own = found[what][place] if what in found else None
            off = float("inf") if own is None else _difference(own, tensor)
            if not off <= worst:
                worst, where = off, f"{what} of member {some[place].index}"
    problem = None if worst <= TOLERANCE[precision] else f"{where} differs by {worst:.2g} from the loop's"
    return Agreement(worst, precision, problem)


def _alone(run: Run, course: Course, fed: Fed, place: int, precision: torch.dtype) -> dict[str, Tensor]:
    model = _as(run.trainee(), precision).to(course.device)
    batch = _batch_of(_fed_as(fed, precision), place)
    model.train()
    set_step(model, 0)
    with rng.preserved():
        rng.seed_everything(0)
        output = forward(model, batch)
    weights = None if fed.weights is None else fed.weights[place][None]
    smoothing = run.settings.label_smoothing
    loss = member_losses(
        course.loss_fn,
        output[None],
        batch.targets[None],
        weights=weights,
        label_smoothing=torch.tensor([smoothing], device=output.device) if smoothing else None,
        own_targets=True,
    )
    loss.sum().backward()  # type: ignore[no-untyped-call]
    gradients = {f"gradient of {n}": p.grad for n, p in model.named_parameters() if p.grad is not None}
    buffers = {f"buffer {n}": b for n, b in model.named_buffers()}
    return {"output": output.detach(), "loss": loss[0].detach(), **gradients, **buffers}


def _together(
    runs: Sequence[Run], course: Course, fed: Fed, name: Literal["stacked", "vmap"], precision: torch.dtype
) -> dict[str, Tensor]:
    copies = [replace(run, model=_as(copy.deepcopy(run.model), precision), record=Record()) for run in runs]
    lockstep = Lockstep(copies, course, name)
    fed = _fed_as(fed, precision)
    lockstep.stack.train(True)
    lockstep.stack.set_step(0)
    with rng.preserved():
        rng.seed_everything(0)
        outputs = lockstep.stack.forward(fed.inputs, shared=fed.shared)
    losses = lockstep.losses_of(outputs, fed)
    gradients = {f"gradient of {n}": g for n, g in lockstep.stack.gradients(losses).items()}
    return {"output": outputs.detach(), "loss": losses.detach(), **gradients, **dict(_buffers(lockstep, len(runs)))}


def _buffers(lockstep: Lockstep, size: int) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the members' states, joined; parameters among them do no harm."""
    states = [lockstep.stack.state_dict_of(place) for place in range(size)]
    for name in states[0]:
        yield f"buffer {name}", torch.stack([state[name] for state in states])


def _difference(own: Tensor, theirs: Tensor) -> float:
    if own.shape != theirs.shape:
        return float("inf")
    if not theirs.numel():
        return 0.0
    own, theirs = own.detach().double(), theirs.detach().double()
    if not torch.equal(own.isfinite(), theirs.isfinite()):
        return float("inf")
    finite = theirs.isfinite()
    scale = float(theirs[finite].abs().max()) if bool(finite.any()) else 0.0
    worst = float((own[finite] - theirs[finite]).abs().max()) if bool(finite.any()) else 0.0
    return worst / max(scale, 1e-6)


def _as(model: nn.Module, precision: torch.dtype) -> nn.Module:
    return model.to(precision) if precision == torch.float64 else model


def _fed_as(fed: Fed, precision: torch.dtype) -> Fed:
    def cast(x: Tensor) -> Tensor:
        return x.to(precision) if x.is_floating_point() and precision == torch.float64 else x

    inputs = fed.inputs
    made: Inputs = (
        {name: cast(x) for name, x in inputs.items()} if isinstance(inputs, Mapping) else tuple(cast(x) for x in inputs)
    )
    return fed._replace(inputs=made, targets=cast(fed.targets))


def _batch_of(fed: Fed, place: int) -> Batch:
    """The batch of one member."""
    if fed.shared:
        return Batch(fed.inputs, fed.targets)
    inputs = fed.inputs
    made: Inputs = (
        {name: x[place] for name, x in inputs.items()}
        if isinstance(inputs, Mapping)
        else tuple(x[place] for x in inputs)
    )
    return Batch(made, fed.targets[place])
