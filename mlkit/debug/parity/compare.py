"""`compare_models`: is my model the same as the reference, and where and how does it depart?

Not here: the parts of the comparison, one file each beside this one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.debug.overfit.choose import batch_of
from mlkit.debug.overfit.course import copied_batch
from mlkit.debug.parity import align, backwards, locate
from mlkit.debug.parity.events import Event, Side, record
from mlkit.debug.parity.measure import amplification, distance, tolerance
from mlkit.debug.parity.report import Departure, ParityReport, Row, Stage
from mlkit.debug.parity.weights import Matching, copy_weights, match
from mlkit.engine.nonfinite import tensors_in
from mlkit.engine.step import LossFunction, forward
from mlkit.errors import ModelError
from mlkit.runtime import rng
from mlkit.runtime.keys import generator

MakeOptimizer = Callable[[nn.Module], torch.optim.Optimizer]
STEPS = 3


def compare_models(
    mine: nn.Module,
    reference: nn.Module,
    batch: object,
    *,
    loss_fn: LossFunction | None = None,
    optimizer: MakeOptimizer | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> ParityReport:
    """Compare two models that should be the same, on one batch and with the reference's weights.

    Both are copied and get the same weights, the same input and the same random streams. They are compared in
    evaluation mode, in training mode (dropout layers off, since their masks need not be the same), by the buffers that
    a pass leaves, by the gradients of the loss and by the weights after some optimiser steps, all in float64: there
    rounding is small, and a slip is not. Then in the precision and form (compiled, channels-last) that mine has. How
    much rounding explains is measured: the distance of the reference in float32 from itself in float64 tells by how
    much this very network blows rounding up. Nothing that is given is changed.

    Args:
        mine: the model to judge.
        reference: the one to be like; another implementation with other names will do.
        batch: ``(inputs, targets)``, a `Batch`, or inputs alone: a tensor, or a mapping of tensors by argument.
        loss_fn: ``loss_fn(output, targets) -> scalar``, the same for both; by default a fixed random projection of the
            output, which every gradient has a part in.
        optimizer: makes one for a model; by default SGD at 0.01 with momentum 0.9.
        steps: of it.
        seed: of all that is random.

    Returns:
        The report: ``report.verdict`` is ``"same"``, ``"same up to rounding"`` or ``"departs"``; then
        ``report.departure`` tells the first module and, where a hypothesis holds, in which way.

    Raises:
        ModelError: a model cannot be copied, or the reference cannot be called on the batch.
        DataError: the batch holds no inputs.

    Example:
        >>> reference = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        >>> mine = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, eps=1e-3), nn.ReLU())
        >>> report = compare_models(mine, reference, torch.randn(16, 4))
        >>> report.departure.module, report.departure.how
        ('1', 'eps is 0.001 in place of 1e-05')
    """
    taken = _batch(batch, seed)
    lab = _Lab(mine, reference, taken, loss_fn, optimizer, seed)
    departure = next((found for found in lab.stages(steps) if found is not None), None)
    verdict = "departs" if departure else ("same" if lab.is_bitwise() else "same up to rounding")
    others = tuple(lab.by_themselves(departure)) if departure and departure.stage == "evaluation mode" else ()
    return ParityReport(
        cast("Any", verdict), departure, others, lab.matching, tuple(lab.rows), tuple(lab.compared), tuple(lab.notes)
    )


@dataclass
class _Lab:
    """Copies of both models, and the comparison of one stage after the other."""

    given: nn.Module
    given_reference: nn.Module
    batch: Batch
    loss_fn: LossFunction | None
    optimizer: MakeOptimizer | None
    seed: int
    notes: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    amplified: float = 1.0
    is_exact: bool = False

    def __post_init__(self) -> None:
        self.plain: nn.Module = getattr(self.given, "_orig_mod", self.given)
        reference = getattr(self.given_reference, "_orig_mod", self.given_reference)
        self.single = _without_gradients(_copied(reference, "the reference").float())
        self.reference = copy.deepcopy(self.single).double()
        self.mine = _without_gradients(_copied(self.plain, "the model")).double()
        self.dtype = torch.float64
        self.wide = _converted(self.batch, torch.float64)
        orders = [
            [event.module for event in record(one.eval(), copied_batch(self.wide), seed=self.seed).events]
            for one in (self.mine, self.reference)
        ]
        self.matching: Matching = match(self.mine, self.reference, orders=(orders[0], orders[1]))
        self._align()
        self.dropouts = dict(locate.dropouts(self.mine, self.reference, self.named))
        for model in (self.mine, self.reference, self.single):
            _without_dropout(model)

    def _align(self) -> None:
        """Weights, the pairs of modules, and the precision to compare in."""
        copy_weights(self.mine, self.reference, self.matching)
        run = record(self.reference.eval(), copied_batch(self.wide), seed=self.seed)
        narrow = record(self.single.eval(), _converted(self.batch, torch.float32), seed=self.seed)
        if narrow.problem is not None:
            raise ModelError(
                "the reference cannot be called on the batch",
                received=narrow.problem,
                todo="give a batch that the reference was made for",
            )
        own = record(self.mine.eval(), copied_batch(self.wide), seed=self.seed)
        if run.problem is not None or (own.problem is not None and "dtype" in own.problem.lower()):
            self.notes.append(f"compared in float32: {run.problem or own.problem}")
            self.mine, self.reference, self.dtype = self.mine.float(), self.reference.float(), torch.float32
            self.wide = _converted(self.batch, torch.float32)
            copy_weights(self.mine, self.reference, self.matching)
            run, own = narrow, record(self.mine.eval(), copied_batch(self.wide), seed=self.seed)
        self.named = align.modules(self.mine, self.reference, self.matching, (own, run))

    def stages(self, steps: int) -> Iterator[Departure | None]:
        """The first departure of each stage, or None."""
        for name, training in (("evaluation mode", False), ("training mode", True)):
            yield self._passes(cast("Stage", name), training=training)
            self.compared.append(name)
        yield from self.dropouts.values()
        yield self._buffers()
        self.compared.append("buffers")
        yield self._gradients()
        self.compared.append("gradients")
        if steps:
            yield self._steps(steps)
            self.compared.append(f"{steps} optimiser steps")
        yield self._as_given()

    def _passes(self, stage: Stage, *, training: bool) -> Departure | None:
        runs = [
            record(model.train(training), _as(self.wide, model, self.dtype, self.single), seed=self.seed)
            for model in (self.mine, self.reference, self.single)
        ]
        mine, reference, single = runs
        if not training:
            again = record(self.mine, copied_batch(self.wide), seed=self.seed + 1)
            drawn = locate.first_random(mine, again, self.mine)
            if drawn is not None:
                return drawn
        pairs = align.events(mine, reference, self.named)
        narrow = {(event.side, event.module, event.call): event for event in single.events}
        amplified = 1.0
        for own, other in pairs:
            amplified = max(amplified, self._amplified(other, narrow))
            allowed, gap = tolerance(self.dtype, amplified), distance(own.values, other.values)
            if not training and own.side == "out":
                self.rows.append(Row(own.module, other.module, mine.kinds[own.module], gap, allowed))
            if gap > allowed:
                return locate.departure(stage, self.mine, self.reference, (mine, reference), (own, other), gap, allowed)
        if mine.problem is not None:
            return locate.raised(stage, mine)
        gap = distance(_floats(mine.output), _floats(reference.output))
        allowed = tolerance(self.dtype, amplified)
        if gap > allowed:  # what is returned is not a tensor that a module put out
            kind = type(self.mine).__name__
            return Departure(stage, "", kind, "", "the output", gap, allowed)
        self.amplified = max(self.amplified, amplified)
        return None

    def _amplified(self, event: Event, narrow: Mapping[tuple[Side, str, int], Event]) -> float:
        other = narrow.get((event.side, event.module, event.call))
        if other is None or self.dtype != torch.float64:
            return 64.0  # what is usual for some dozen layers, where it cannot be measured
        return amplification(other.values, event.values)

    def _buffers(self) -> Departure | None:
        own, other, narrow = (dict(model.named_buffers()) for model in (self.mine, self.reference, self.single))
        for pair in self.matching.pairs:
            if pair.mine not in own or pair.how == "transposed":
                continue
            a, b = [own[pair.mine].double()], [other[pair.reference].double()]
            allowed = tolerance(self.dtype, amplification([narrow[pair.reference].double()], b))
            gap = distance(a, b)
            if gap > allowed:
                return locate.of_weight("buffers", pair, self.mine, self.reference, gap, allowed, own[pair.mine])
        return None

    def _gradients(self) -> Departure | None:
        found = [_gradients_of(model, self._batch_for(model), self._loss(), self.seed) for model in self._models()]
        mine, reference, single = found
        departure = self._weights("gradients", mine, reference, single)
        if departure is None or (
            departure.proven and math.isinf(departure.distance) and "frozen" in str(departure.how)
        ):
            return departure
        run = record(self.reference.train(), copied_batch(self.wide), seed=self.seed)
        allowed = tolerance(self.dtype, 64.0)
        return backwards.culprit(self.mine.train(), self.reference, self.named, run, allowed) or departure

    def _steps(self, steps: int) -> Departure | None:
        make = self.optimizer or (lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9))
        values = []
        for model in self._models():
            twin = copy.deepcopy(model)
            optimizer = make(twin)
            for step in range(steps):
                _gradients_of(twin, self._batch_for(model), self._loss(), self.seed + step)
                optimizer.step()
            values.append({name: value.detach().double() for name, value in twin.named_parameters()})
        return self._weights("optimiser steps", *values)

    def _weights(
        self,
        stage: Stage,
        mine: Mapping[str, Tensor | None],
        reference: Mapping[str, Tensor | None],
        single: Mapping[str, Tensor | None],
    ) -> Departure | None:
        """The last weight in the order of the model whose values depart: what is before it follows from it."""
        # Gradients near zero among large ones are rounding of the large ones.
        scale = max((float(v.abs().max()) for v in reference.values() if v is not None and v.numel()), default=0.0)
        amplified = 1.0
        for name, value in reference.items():
            narrow = single.get(name)
            if value is not None and narrow is not None and float(value.abs().max()) > 1e-6 * scale:
                amplified = max(amplified, amplification([narrow], [value]))
        allowed = tolerance(self.dtype, amplified)
        for pair in reversed(self.matching.pairs):
            own, other = mine.get(pair.mine), reference.get(pair.reference)
            if pair.reference not in reference:
                continue
            if own is None and other is None:
                continue
            if own is None or other is None:
                return locate.of_weight(stage, pair, self.mine, self.reference, math.inf, allowed, own)
            if pair.how == "transposed":
                own = own.permute(*reversed(range(own.ndim)))
            gap = distance([own], [other])
            size = max(float(own.abs().max()), float(other.abs().max())) if own.numel() else 0.0
            if gap > allowed and size > 1e-9 * scale:
                return locate.of_weight(stage, pair, self.mine, self.reference, gap, allowed, own, other)
        return None

    def _as_given(self) -> Departure | None:
        """Mine in the precision, the memory layout and the form that it was given in."""
        copied = _copied(self.plain, "the model")
        copy_weights(copied, self.reference, self.matching)
        _without_dropout(copied)
        dtype = next((p.dtype for p in copied.parameters() if p.is_floating_point()), torch.float32)
        kind = type(self.plain).__name__
        with rng.preserved(), torch.no_grad():
            rng.seed_everything(self.seed)
            wanted = _floats(forward(self.reference.eval(), copied_batch(self.wide)))
            allowed = tolerance(dtype, self.amplified)
            output = _floats(forward(copied.eval(), _converted(self.batch, dtype)))
            gap = distance(output, wanted)
            self.single.load_state_dict(self.reference.state_dict())  # its buffers went their own way in training mode
            exact = _floats(forward(self.single.eval(), _converted(self.batch, torch.float32)))
            self.is_exact = dtype == torch.float32 and all(map(torch.equal, output, exact))
            if gap > allowed:
                how = f"in {str(dtype).removeprefix('torch.')} it is further off than rounding explains"
                return Departure("own precision", "", kind, "", "the output", gap, allowed, how)
            if self.given is self.plain:
                return None
            gap = self._compiled(wanted, dtype)
            if gap > allowed:
                how = "the compiled program computes something else than the module that it was made of"
                return Departure("compiled", "", kind, "", "the output", gap, allowed, how, proven=True)
            self.compared.append("as compiled")
        return None

    def _compiled(self, wanted: list[Tensor], dtype: torch.dtype) -> float:
        """The distance of the compiled program, run with the reference's weights, which are put back afterwards."""
        keeper = {name: value.detach().clone() for name, value in self.plain.state_dict().items()}
        modes = {module: module.training for module in self.plain.modules()}
        try:
            copy_weights(self.plain, self.reference, self.matching)
            return distance(_floats(forward(self.given.eval(), _converted(self.batch, dtype))), wanted)
        finally:
            self.plain.load_state_dict(keeper)
            for module, mode in modes.items():
                module.training = mode

    def is_bitwise(self) -> bool:
        """Whether mine gave the very numbers of the reference, in float32."""
        return self.is_exact and all(row.distance == 0 for row in self.rows)

    def by_themselves(self, first: Departure) -> Iterator[Departure]:
        """Other modules that depart when they get what their counterparts got."""
        run = record(self.reference.eval(), copied_batch(self.wide), seed=self.seed)
        allowed = tolerance(self.dtype, 64.0)
        yield from locate.by_themselves(self.mine.eval(), self.reference, self.named, run, allowed, but=first.module)

    def _models(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        return self.mine.train(), self.reference.train(), self.single.train()

    def _batch_for(self, model: nn.Module) -> Batch:
        return _as(self.wide, model, self.dtype, self.single)

    def _loss(self) -> LossFunction:
        return self.loss_fn or (lambda output, targets: _projection(output))


def _gradients_of(model: nn.Module, batch: Batch, loss_fn: LossFunction, seed: int) -> dict[str, Tensor | None]:
    for parameter in model.parameters():
        parameter.grad = None
    with rng.preserved(), torch.enable_grad():
        rng.seed_everything(seed)
        loss = loss_fn(forward(model, batch), batch.targets)
        if loss.requires_grad:
            torch.autograd.backward(loss)
    return {name: None if one.grad is None else one.grad.detach().double() for name, one in model.named_parameters()}


def _projection(output: Any) -> Tensor:
    """A sum of all values with fixed random weights, so that every one of them matters and none like another."""
    total = torch.zeros((), dtype=torch.float64)
    for number, tensor in enumerate(_floats(output)):
        weights = torch.randn(tensor.shape, generator=generator(0, f"projection {number}"), dtype=torch.float64)
        total = total.to(tensor.device) + (tensor.double() * weights.to(tensor.device)).sum() / tensor.numel() ** 0.5
    return total


def _batch(batch: object, seed: int) -> Batch:
    nothing = torch.zeros(0)
    if isinstance(batch, Tensor):
        return Batch((batch,), nothing)
    if isinstance(batch, Mapping):
        return Batch(cast("dict[str, Tensor]", dict(batch)), nothing)
    return batch_of(batch, seed=seed)[0]


def _copied(model: nn.Module, what: str) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise ModelError(
            f"{what} cannot be copied",
            received=f"{type(error).__name__}: {error}",
            allowed="what copy.deepcopy can copy",
            todo="compare before any step is made with it",
        ) from error


def _without_gradients(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        parameter.grad = None
    return model


def _without_dropout(model: nn.Module) -> None:
    """Masks need not be the same in two programs that are; the probability is compared as a setting."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
            module.dropout = 0.0


def _converted(batch: Batch, dtype: torch.dtype) -> Batch:
    def one(x: Tensor) -> Tensor:
        return x.to(dtype) if x.is_floating_point() else x.clone()

    inputs, targets = batch.inputs, one(batch.targets)
    if isinstance(inputs, Mapping):
        return Batch({name: one(x) for name, x in inputs.items()}, targets)
    return Batch(tuple(map(one, inputs)), targets)


def _as(wide: Batch, model: nn.Module, dtype: torch.dtype, single: nn.Module) -> Batch:
    """The batch in the precision of the model that it is for."""
    return _converted(wide, torch.float32 if model is single else dtype)


def _floats(output: Any) -> list[Tensor]:
    return [tensor for tensor in tensors_in(output) if tensor.is_floating_point()]
