"""A moment of the watched program with everything live: model, batch, loss, graph. Probes look at it in a forked child.

Since a probe runs in a child, it may do anything to what it finds here. Not here: the probes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from mlkit.debug.sites import Site
from mlkit.debug.trace import Call, Op, Trace, replay, tensors_in

if TYPE_CHECKING:
    from mlkit.debug.session import Session

# Losses of torch.nn.functional: where the prediction and the target stand among the arguments.
LOSSES: dict[str, tuple[tuple[int, str], tuple[int, str]]] = dict.fromkeys(
    [
        "cross_entropy",
        "nll_loss",
        "nll_loss2d",
        "nll_loss_nd",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "kl_div",
        "poisson_nll_loss",
        "gaussian_nll_loss",
        "soft_margin_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "multi_margin_loss",
        "hinge_embedding_loss",
        "linear_cross_entropy",
    ],
    ((0, "input"), (1, "target")),
)
LOSSES["ctc_loss"] = ((0, "log_probs"), (1, "targets"))

TargetKind = Literal["classes", "binary", "one-hot", "shares", "real", "input", "none"]


@dataclass(eq=False)
class Head:
    """One place where a prediction meets a target on the way to the loss.

    Args:
        name: the loss function (``cross_entropy``), or the op where the two first meet (``sub``, ``__getitem__``).
        is_known: whether it is one of torch's losses.
        prediction: what enters it, with a graph.
        target: what it is compared with, without one; None where there is none.
        output: the model's output that the prediction was made from; the prediction itself where there is no model.
        op: that op.
        site: the user's line.
    """

    name: str
    is_known: bool
    prediction: Tensor
    target: Tensor | None
    output: Tensor
    op: Op
    site: Site | None

    @property
    def kind(self) -> TargetKind:
        """What the target is: class indices, zeros and ones, one-hot rows, rows of shares, real numbers."""
        target = self.target
        if target is None:
            return "none"
        if not target.is_floating_point():
            if target.dtype == torch.bool or (target.shape == self.prediction.shape and target.numel() > 1):
                return "binary"
            return "classes"
        values = target.detach()
        is_binary = bool(((values == 0) | (values == 1)).all())
        has_rows = target.dim() == 2 and target.shape[1] > 1 and bool((values >= 0).all())
        if has_rows and torch.allclose(values.sum(1), torch.ones_like(values[:, 0]), atol=1e-3):
            return "one-hot" if is_binary else "shares"
        return "binary" if is_binary else "real"


class Scene:
    """A moment of the program.

    Args:
        session: the watched program; its facts so far are ``session.facts``.
        trace: the segment's ops and calls, live.
        loss: the tensor on which backward was called; None for a scene of evaluation.
        call: the main call of a model in the segment; None where the program has no modules.
        site: the user's line of the backward, or of the call.
    """

    def __init__(
        self, session: Session, trace: Trace, loss: Tensor | None, call: Call | None, site: Site | None
    ) -> None:
        self.session = session
        self.trace = trace
        self.loss = loss
        self.call = call
        self.site = site

    @property
    def model(self) -> nn.Module | None:
        return self.call.module if self.call is not None else None

    @cached_property
    def path(self) -> list[Op]:
        """The ops that the loss was computed by."""
        if self.loss is not None:
            return self.trace.behind([self.loss])
        start = self.call.start if self.call is not None else 0
        return [op for op in self.trace.ops if op.index >= start]

    @cached_property
    def model_calls(self) -> list[Call]:
        """Calls of modules with parameters, by the user's code, in order."""
        return [call for call in self.trace.calls if call.has_parameters]

    @cached_property
    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Named parameters of all models that were called, each once."""
        found: dict[int, tuple[str, nn.Parameter]] = {}
        for call in self.model_calls:
            kind = type(call.module).__name__
            for name, parameter in call.module.named_parameters():
                found.setdefault(id(parameter), (f"{kind}.{name}", parameter))
        return list(found.values())

    @cached_property
    def inputs(self) -> list[Tensor]:
        """Tensors that the user's code gave to the main model, parameters left out; for programs without modules, the
        tensors without a graph of the most rows that the prediction was computed from.
        """
        if self.call is not None:
            every = tensors_in([self.call.args, self.call.kwargs])
            return [one for one in every if not isinstance(one, nn.Parameter)]
        if not self.heads:
            return []
        head = self.heads[0]
        ops = self.trace.behind([head.prediction])
        given = [
            one
            for op in ops
            if any(tensor.requires_grad for tensor in op.inputs)
            for one in op.inputs
            if not one.requires_grad and one.dim() >= 1 and one.numel() > 1
        ]
        unique = list({id(one): one for one in given}.values())
        rows = head.prediction.shape[0] if head.prediction.dim() else 1
        return [one for one in unique if one.shape[0] == rows][:1] or unique[:1]

    @cached_property
    def outputs(self) -> list[Tensor]:
        """Tensors that the main model returned."""
        return tensors_in(self.call.output) if self.call is not None else []

    @cached_property
    def heads(self) -> list[Head]:
        """Where predictions meet targets on the way to the loss: torch's losses, else the ops that join the two."""
        known = [head for op in self.path if (head := self._known_head(op)) is not None]
        return known or self._written_heads()

    @property
    def head(self) -> Head | None:
        """The first head that has a target."""
        return next((head for head in self.heads if head.target is not None), None)

    def _known_head(self, op: Op) -> Head | None:
        places = LOSSES.get(op.name)
        if places is None or op.error is not None:
            return None
        prediction, target = (op.argument(*place) for place in places)
        if not isinstance(prediction, Tensor):
            return None
        target = target if isinstance(target, Tensor) else None
        if self.loss is not None and not prediction.requires_grad:
            if target is None or not target.requires_grad:
                return None
            prediction, target = target, prediction  # swapped arguments, as mse_loss(y, out)
        return Head(op.name, True, prediction, target, self._output_behind(prediction), op, op.site)

    def _output_behind(self, prediction: Tensor) -> Tensor:
        """The model's output that a prediction was made from, or the prediction itself."""
        candidates = [one for call in self.model_calls for one in tensors_in(call.output)]
        ids = {id(one): one for one in candidates}
        if id(prediction) in ids:
            return prediction
        for op in reversed(self.trace.behind([prediction], stop=candidates)):
            for one in op.inputs:
                if id(one) in ids:
                    return one
        return prediction

    def _written_heads(self) -> list[Head]:
        """The first ops after the model that join what has a graph with what has none."""
        calls = self.model_calls
        outputs = [one for call in calls for one in tensors_in(call.output)]
        parameters = {id(one) for _, one in self.parameters}
        start = min((call.stop for call in calls), default=0)
        is_inside = self.loss is not None and any(one is self.loss for one in outputs)
        if is_inside:  # the model computes the loss itself: what else it returns is the prediction
            outputs = [one for one in outputs if one.dim() and one.requires_grad]
            producers = self.trace.producers()
            start = 1 + max((producers[id(one)].index for one in outputs if id(one) in producers), default=start)
        derived = {id(one) for one in outputs}
        found: list[Head] = []
        for op in self.path:
            for_model = not is_inside and any(call.start <= op.index < call.stop for call in calls)
            with_graph = [one for one in op.inputs if one.requires_grad or id(one) in derived]
            if for_model or op.index < start or not with_graph:
                continue
            if calls and not any(id(one) in derived for one in op.inputs):
                continue
            derived |= {id(one) for one in op.outputs}
            others = [
                one
                for one in op.inputs
                if not one.requires_grad and one.dim() >= 1 and one.numel() > 1 and id(one) not in derived | parameters
            ]
            if not calls and not any(one.dim() >= 1 and not isinstance(one, nn.Parameter) for one in with_graph):
                continue
            if not calls and op.name in ("matmul", "linear", "__matmul__", "mm", "conv2d", "addmm", "embedding", "bmm"):
                continue
            if others and op.name not in ("layer_norm", "batch_norm"):
                first = next((one for one in with_graph if one.dim()), with_graph[0])
                output = self._output_behind(first)
                found.append(Head(op.name, False, first, others[-1], output, op, op.site))
        return found[:4]

    @cached_property
    def batch_size(self) -> int | None:
        """Samples in the batch: the first axis that inputs and targets (or outputs) share."""
        sizes = [one.shape[0] for one in self.inputs if one.dim()]
        others = [head.target.shape[0] for head in self.heads if head.target is not None and head.target.dim()]
        others += [one.shape[0] for one in self.outputs if one.dim()]
        shared = [size for size in sizes if size in others]
        return next(iter(shared or sizes or others), None)

    # ---------------------------------------------------------------- running again, in a child

    def forward(
        self,
        values: Mapping[int, Tensor] | None = None,
        *,
        training: bool | None = None,
        call: Call | None = None,
        seed: int | None = 0,
    ) -> object:
        """Call the main model again; returns what it returns.

        Args:
            values: id of an input tensor of the call -> what to give in its place.
            training: mode to set first (of the whole model); None leaves it.
            call: another call of a model instead of the main one.
            seed: of torch's generator before the call; None leaves it.

        Raises:
            LookupError: the program called no module.
        """
        call = call or self.call
        if call is None:
            raise LookupError("the program calls no module")
        if training is not None:
            call.module.train(training)
        if seed is not None:
            torch.manual_seed(seed)
        args, kwargs = exchanged(call.args, values or {}), exchanged(call.kwargs, values or {})
        return call.module(*args, **kwargs)

    def predict(
        self, values: Mapping[int, Tensor] | None = None, *, training: bool | None = None, seed: int | None = 0
    ) -> Tensor:
        """The first head's prediction, computed again: the model called again, and the ops after it replayed.

        Without modules all ops from the inputs to the prediction are replayed.

        Raises:
            LookupError: there is no head.
        """
        head = self.heads[0] if self.heads else None
        if head is None:
            raise LookupError("no place was found where a prediction meets a target")
        if self.call is None:
            known = replay(self.trace.behind([head.prediction]), values or {})
            return known.get(id(head.prediction), head.prediction)  # type: ignore[return-value]
        new = tensors_in(self.forward(values, training=training, seed=seed))
        exchange = {id(old): now for old, now in zip(self.outputs, new, strict=False)}
        if id(head.prediction) in exchange:
            return exchange[id(head.prediction)]
        inside = [op for op in self.trace.behind([head.prediction], stop=self.outputs) if op.index >= self.call.stop]
        if not inside and self.call.start <= head.op.index < self.call.stop:
            raise LookupError("the loss is computed within the model")
        known = replay(inside, exchange)
        return known.get(id(head.prediction), head.prediction)  # type: ignore[return-value]

    def loss_of(self, values: Mapping[int, Tensor]) -> Tensor:
        """The loss, computed again by replaying the ops from given tensors on: ``{id(head.prediction): …}``.

        Raises:
            LookupError: the loss does not depend on what was given.
        """
        assert self.loss is not None, "a scene of evaluation has no loss"
        known = replay(self.path, values)
        if id(self.loss) not in known:
            raise LookupError("the loss does not depend on what was exchanged")
        return known[id(self.loss)]  # type: ignore[return-value]

    # ---------------------------------------------------------------- where data came from

    def source_of(self, tensor: Tensor) -> Tensor:
        """The tensor of the whole data set that a batch was cut from, by the segment's own indexing; else the batch."""
        best = tensor
        for one in self.trace.sources([tensor]):
            if one.dim() == tensor.dim() and one.numel() > best.numel() and not one.requires_grad:
                best = one
        return best


def exchanged(value: Any, values: Mapping[int, object]) -> Any:
    """A nested value with some of its tensors replaced, by id."""
    if isinstance(value, Tensor):
        return values.get(id(value), value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(exchanged(item, values) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(exchanged(item, values) for item in value)
    if isinstance(value, Mapping):
        items = {key: exchanged(item, values) for key, item in value.items()}
        make: Any = type(value)
        return items if make is dict else make(items)
    return value


def first_dirty(ops: Iterable[Op], is_dirty: Any) -> Op | None:
    """The first op for which a property that, once true, stays true holds, by bisection; None where it never does."""
    ops = list(ops)
    low, high = 0, len(ops)
    while low < high:
        middle = (low + high) // 2
        if is_dirty(ops[middle]):
            high = middle
        else:
            low = middle + 1
    return ops[low] if low < len(ops) else None
