"""Two training steps with tensors that only pretend to be: what is alive when, and what for.

Not here: what kernels take beside tensors (`mlkit.debug.memory.measured`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode

from mlkit.data.splits import Batch
from mlkit.debug import experiment
from mlkit.debug.memory.tracker import Tracker
from mlkit.debug.overfit.course import tensors_of
from mlkit.engine.step import LossFunction, forward
from mlkit.errors import ModelError

OF_A_MODULE = "in "
"""Labels of what was made in a module's forward pass begin so."""


class _Pretended(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Fake tensors of the devices that there are.

    torch's own mode makes up a CUDA device where there is none. The first backward pass then starts threads for it,
    which a process that was forked cannot do without harm.
    """

    @property
    def avoid_device_init(self) -> bool:
        """Never: no device is made up."""
        return False


@dataclass(frozen=True)
class Parts:
    """Everything that a step is made of.

    Args:
        model: trained; copied.
        optimizer: of its parameters; copied with it.
        loss_fn: ``loss_fn(output, targets) -> scalar``.
        batch: one batch, of any size.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss_fn: LossFunction
    batch: Batch


@dataclass(frozen=True)
class Simulation:
    """What two steps would take, in bytes.

    Args:
        peak: the most at any moment of the second step or the first.
        at_peak: by label, at that moment.
        when: what was being done then.
        kept: at the end of a forward pass, by module: what is kept for the backward pass, and the output.
    """

    peak: int
    at_peak: Mapping[str, int]
    when: str
    kept: Mapping[str, int]


Context = Callable[[], AbstractContextManager[object]]


def simulate(
    parts: Parts, size: int, *, inside: Context = nullcontext, change: Callable[[nn.Module], None] | None = None
) -> Simulation:
    """Make two steps on a batch of ``size`` examples with fake tensors; nothing is computed and nothing changed.

    Args:
        parts: of the step.
        size: of the batch.
        inside: a context of the forward pass, such as autocast.
        change: made to the copied model.

    Raises:
        ModelError: the model looks at values, which fake tensors have none of, or it fails.
    """
    if experiment.obstacle() is not None:
        return _simulated(parts, size, inside, change)
    # In a child, where whatever else the model's code does is undone.
    outcome = experiment.measure(lambda: _simulated(parts, size, inside, change), seconds=60.0)
    if not isinstance(outcome.value, Simulation):
        raise ModelError(
            "a step cannot be made with tensors that hold no values",
            received=outcome.problem or "no answer",
            allowed="a model and a loss that look at shapes alone",
            todo="leave out what reads values (.item(), an if on a tensor), or measure: largest_batch",
        )
    return outcome.value


def _simulated(parts: Parts, size: int, inside: Context, change: Callable[[nn.Module], None] | None) -> Simulation:
    mode = _Pretended()
    with FakeCopyMode(mode):
        model, optimizer, loss_fn = copy.deepcopy((parts.model, parts.optimizer, parts.loss_fn))
    optimizer.state.clear()  # made again by the first step; that of earlier steps holds numbers that would be looked at
    if change is not None:
        change(model)
    with mode:
        batch = of_size(parts.batch, size, made=lambda x, shape: torch.empty(shape, dtype=x.dtype, device=x.device))
        return _two_steps(model, optimizer, loss_fn, batch, inside)


def of_size(batch: Batch, size: int, *, made: Callable[[Tensor, tuple[int, ...]], Tensor]) -> Batch:
    """A batch of another size.

    Args:
        batch: the one to be like.
        size: how many examples.
        made: from a tensor of the batch and the wanted shape to a tensor.
    """

    def one(x: Tensor) -> Tensor:
        return made(x, (size, *x.shape[1:]))

    inputs, targets = batch.inputs, one(batch.targets)
    if isinstance(inputs, Mapping):
        return Batch({name: one(x) for name, x in inputs.items()}, targets)
    return Batch(tuple(map(one, inputs)), targets)


def _two_steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    batch: Batch,
    inside: Context,
) -> Simulation:
    doing = ["the forward pass"]
    tracker = Tracker(lambda: doing[-1])
    for parameter in model.parameters():
        tracker.tell(parameter, "weights")
        parameter.grad = None
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda one: tracker.tell(one.grad, "gradients") if one.grad is not None else None
            )
    for buffer in model.buffers():
        tracker.tell(buffer, "buffers")
    for tensor in tensors_of(batch):
        tracker.tell(tensor, "the batch")
    model.train()
    found: list[Simulation] = []
    for _ in range(2):
        tracker.peak = 0
        optimizer.zero_grad(set_to_none=True)
        with tracker:
            doing[:] = ["the forward pass"]
            with _labelled(model, doing), inside():
                loss = loss_fn(forward(model, batch), batch.targets)
            kept = {name: size for name, size in tracker.living.items() if name.startswith(OF_A_MODULE)}
            doing[:] = ["the backward pass"]
            torch.autograd.backward(loss)
            del loss
            doing[:] = ["the optimiser's step"]
            optimizer.step()
        for state in optimizer.state.values():
            for value in state.values():
                if isinstance(value, Tensor):
                    tracker.tell(value, "optimiser state")
        found.append(Simulation(tracker.peak, dict(tracker.at_peak), tracker.when, kept))
    return max(reversed(found), key=lambda one: one.peak)


@contextmanager
def _labelled(model: nn.Module, doing: list[str]) -> Iterator[None]:
    """What is made in a module is labelled with its name."""
    handles = []
    for name, module in model.named_modules():
        if not name:
            continue
        label = f"{OF_A_MODULE}{name}"
        handles.append(module.register_forward_pre_hook(lambda *_, label=label: doing.append(label)))
        handles.append(module.register_forward_hook(lambda *_: doing.pop() and None, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
