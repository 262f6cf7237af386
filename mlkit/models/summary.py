"""`summary`: layers, output shapes, parameters, FLOPs and memory of any model, measured in one forward pass.

Not here: whether these are good; and the values inside (those are for `mlkit.debug`).
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.errors import ModelError
from mlkit.models.example import example_inputs
from mlkit.models.init import refuse_lazy
from mlkit.models.recorder import Record, Shape, record, shape_of
from mlkit.task import Task

_HEADER = ("layer", "kind", "output", "parameters", "FLOPs")
_HOLDERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)  # never called, so empty is not unused
WIDTH = 80  # of a terminal that nobody widened
_LEAST = {2: 12, 1: 12, 0: 16}  # columns that give way to fit, first to last, and what they keep
MAX_ROWS = 40  # more do not fit on a screen; deeper levels are then folded into one row


@dataclass(frozen=True)
class Layer:
    """One module, by name.

    Args:
        name: where it is in the model; empty for the model itself.
        kind: name of its class.
        leaf: it holds no other modules.
        output_shape: of its last call, batch axis included; lists and dictionaries where the output is nested; None
            when it was not called.
        parameters: numbers in its own parameters, those already counted in an earlier layer left out.
        trainable: those of them that require a gradient.
        flops: of its own operations in all its calls, for the whole batch; two a multiplication and addition.
        calls: how often it ran.
        shared_with: the earlier name of the same module; or of the first module with the same parameters.
        used: it or a module in it was called, or its parameters were read.
    """

    name: str
    kind: str
    leaf: bool
    output_shape: Shape
    parameters: int
    trainable: int
    flops: int
    calls: int
    shared_with: str | None
    used: bool


@dataclass(frozen=True)
class Summary:
    """What `summary` found; ``print`` it, or leave it at the end of a notebook cell.

    Args:
        layers: every module in the order of definition, the model itself first.
        input_shapes: of the example inputs.
        batch_size: examples in them.
        parameters: numbers in all parameters, shared ones once.
        trainable: those that require a gradient.
        flops: of a forward pass of the whole batch: two for each multiplication and addition in matrix products,
            convolutions, attention and recurrent layers; element-wise work is not counted.
        parameter_bytes: memory of parameters and buffers.
        activation_bytes: what autograd keeps of the batch for the backward pass, measured in evaluation mode.
        unused: modules that did not run and whose parameters nothing read.
    """

    layers: tuple[Layer, ...]
    input_shapes: tuple[Shape, ...]
    batch_size: int
    parameters: int
    trainable: int
    flops: int
    parameter_bytes: int
    activation_bytes: int
    unused: tuple[str, ...]

    @property
    def flops_per_example(self) -> float:
        """FLOPs of a forward pass, divided by the examples in it."""
        return self.flops / self.batch_size

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "flops_per_example": self.flops_per_example}

    def rows(self, *, depth: int | None = None) -> list[tuple[str, str, str, str, str]]:
        """Name, kind, output shape, parameters and FLOPs an example, as text.

        Args:
            depth: levels of nesting to show; what is deeper is summed into its container. None: as deep as
                fits on a screen.
        """
        if depth is None:
            deepest = max(_depth(layer) for layer in self.layers)
            fitting = (level for level in range(deepest, 1, -1) if len(self._shown(level)) <= MAX_ROWS)
            depth = next(fitting, 1)
        return [self._row(layer, folded=_depth(layer) == depth) for layer in self._shown(depth)]

    def _shown(self, depth: int) -> list[Layer]:
        def shown(layer: Layer) -> bool:
            level = _depth(layer)
            if layer.leaf and layer.used and not (layer.calls or layer.parameters or layer.shared_with):
                return False  # an empty ModuleList, say
            return level == depth or (level < depth and (layer.leaf or layer.parameters > 0 or layer.flops > 0))

        return [layer for layer in self.layers if shown(layer)]

    def _row(self, layer: Layer, *, folded: bool) -> tuple[str, str, str, str, str]:
        inside = [other for other in self.layers if other is layer or (folded and _contains(layer, other))]
        parameters, flops = sum(x.parameters for x in inside), sum(x.flops for x in inside)
        first = _cut(layer.shared_with or "(model)", 20, from_left=True)
        count = f"{parameters:,}" if parameters or layer.shared_with is None else f"as {first}"
        shape = _shape_text(layer.output_shape) if layer.calls else ("" if layer.used else "unused")
        repeated = f" x{layer.calls}" if layer.calls > 1 and layer.shared_with is None else ""
        return layer.name or "(model)", layer.kind + repeated, shape, count, _si(flops / self.batch_size)

    def totals(self) -> list[str]:
        """The lines under the table."""
        frozen = self.parameters - self.trainable
        example = "an example" if self.batch_size == 1 else f"a batch of {self.batch_size}"
        lines = [
            f"parameters  {self.parameters:,}" + (f" ({frozen:,} frozen)" if frozen else ""),
            f"FLOPs       {_si(self.flops_per_example)} an example, forwards",
            f"memory      {_bytes(self.parameter_bytes)} parameters and buffers",
            f"            {_bytes(self.activation_bytes)} activations, kept of {example} for the backward pass",
        ]
        if self.unused:
            unused = f"unused      {', '.join(self.unused)}"
            lines += textwrap.wrap(unused, WIDTH, subsequent_indent=" " * 12, break_on_hyphens=False)
        return lines

    def __str__(self) -> str:
        table = [_HEADER, *self.rows()]
        widths = _fitted([max(len(row[column]) for row in table) for column in range(len(_HEADER))])
        lines = [_line(row, widths) for row in table]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join([*lines, "", *self.totals()])

    def _repr_html_(self) -> str:
        # No colours of its own: the notebook's theme, light or dark, stays in charge.
        head = "".join(f"<th>{title}</th>" for title in _HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows()
        )
        totals = html.escape("\n".join(self.totals()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><pre>{totals}</pre>"


def summary(model: nn.Module, *inputs: Tensor | Mapping[str, Tensor], task: Task | None = None) -> Summary:
    """Run ``model`` once in evaluation mode and say what it is made of.

    Weights, inputs, modes, buffers, hooks and random generators are as before afterwards.

    Args:
        model: any module, on any device (on ``meta`` it costs no memory); torch.compile's wrapper is looked through.
        inputs: what the model is called with, ``model(*inputs)``; or one mapping, ``model(**mapping)``. The first
            axis of the first tensor is taken for the batch.
        task: instead of inputs: zeros in the task's shapes are used.

    Raises:
        ModelError: there are no inputs, the model cannot be run on them or watched, or a lazy layer has no shape yet.

    >>> print(summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(1, 4)))
    layer  kind    output  parameters  FLOPs
    ----------------------------------------
    0      Linear  1x8             40     64
    1      ReLU    1x8              0      0
    2      Linear  1x2             18     32
    <BLANKLINE>
    parameters  58
    FLOPs       96 an example, forwards
    memory      232 B parameters and buffers
                48 B activations, kept of an example for the backward pass
    """
    model = getattr(model, "_orig_mod", model)
    refuse_lazy(model)
    _refuse_script(model)
    if task is not None and not inputs:
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        inputs = example_inputs(task, device=device)
    tensors = [t for group in inputs for t in (group.values() if isinstance(group, Mapping) else [group])]
    if not tensors:
        raise ModelError(
            "no example inputs", todo="give a batch, summary(model, x), or summary(model, task=bundle.task)"
        )
    seen = record(model, lambda: _call(model, inputs), inputs=tensors)
    layers = _layers(model, seen)
    return Summary(
        layers=tuple(layers),
        input_shapes=tuple(shape_of(group) for group in inputs),
        batch_size=max(1, len(tensors[0])) if tensors[0].ndim else 1,
        parameters=sum(layer.parameters for layer in layers),
        trainable=sum(layer.trainable for layer in layers),
        flops=sum(layer.flops for layer in layers),
        parameter_bytes=sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())),
        activation_bytes=sum(seen.saved.values()),
        unused=_unused(layers),
    )


def _call(model: nn.Module, inputs: tuple[Tensor | Mapping[str, Tensor], ...]) -> object:
    try:
        if len(inputs) == 1 and isinstance(inputs[0], Mapping):
            return model(**inputs[0])
        return model(*inputs)
    except Exception as error:
        raise ModelError(
            "the model could not be run on the example inputs",
            received=", ".join(_shape_text(shape_of(x)) for x in inputs) + f"; {type(error).__name__}: {error}",
            todo="give inputs such as the model is trained on",
        ) from error


def _refuse_script(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                "a TorchScript module runs where no hook can watch it",
                received=f"{type(module).__name__} '{name}'" if name else type(module).__name__,
                allowed="modules that Python runs",
                todo="give the module that it was scripted from",
            )


def _layers(model: nn.Module, seen: Record) -> list[Layer]:
    layers: list[Layer] = []
    first_name: dict[int, str] = {}  # of modules and of parameters, by identity
    for name, module in model.named_modules(remove_duplicate=False):
        own = list(module.parameters(recurse=False))
        new = [p for p in {id(p): p for p in own}.values() if id(p) not in first_name]
        earlier = [first_name[id(x)] for x in (module, *own) if id(x) in first_name]
        again = id(module) in first_name
        for thing in (module, *own):
            first_name.setdefault(id(thing), name)
        layers.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                leaf=next(module.children(), None) is None,
                output_shape=seen.shapes.get(id(module)),
                parameters=sum(p.numel() for p in new),
                trainable=sum(p.numel() for p in new if p.requires_grad),
                flops=0 if again else seen.flops[id(module)],
                calls=seen.calls[id(module)],
                shared_with=earlier[0] if earlier else None,
                used=seen.used(module) or (isinstance(module, _HOLDERS) and len(module) == 0),
            )
        )
    return layers


def _unused(layers: list[Layer]) -> tuple[str, ...]:
    """Names of unused modules, without those that are in an unused one."""
    outermost: list[Layer] = []
    for layer in layers:
        if not layer.used and not any(_contains(other, layer) for other in outermost):
            outermost.append(layer)
    return tuple(layer.name for layer in outermost)


def _depth(layer: Layer) -> int:
    return layer.name.count(".") + 1 if layer.name else 0


def _contains(outer: Layer, inner: Layer) -> bool:
    return inner.name != outer.name and inner.name.startswith(f"{outer.name}." if outer.name else "")


def _fitted(widths: list[int]) -> list[int]:
    """Widths of the columns after those of text gave way, so that a row has at most `WIDTH` characters."""
    fitted = list(widths)
    for column, least in _LEAST.items():
        excess = sum(fitted) + 2 * (len(fitted) - 1) - WIDTH
        fitted[column] -= max(0, min(excess, fitted[column] - least))
    return fitted


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = []
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        cell = _cut(text, width, from_left=column == 0)  # the end of a name says more than its start
        cells.append(cell.ljust(width) if column < 3 else cell.rjust(width))
    return "  ".join(cells)


def _cut(text: str, width: int, *, from_left: bool = False) -> str:
    if len(text) <= width:
        return text
    return "…" + text[len(text) - width + 1 :] if from_left else text[: width - 1] + "…"


def _shape_text(shape: Shape) -> str:
    if isinstance(shape, tuple):
        return "x".join(map(str, shape)) or "scalar"
    if isinstance(shape, list):
        return "(" + ", ".join(map(_shape_text, shape)) + ")"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{key}: {_shape_text(item)}" for key, item in shape.items()) + "}"
    return "none" if shape is None else shape


def _scaled(value: float, step: int, units: str) -> str:
    for unit in units:
        if value < 999.5 or unit == units[-1]:  # three digits, rounded
            break
        value /= step
    return f"{value:.3g}" + ("" if unit == " " else f" {unit}")


def _si(value: float) -> str:
    return _scaled(value, 1000, " kMGTP")


def _bytes(value: float) -> str:
    return f"{value} B" if value < 1024 else _scaled(value / 1024, 1024, "KMGT") + "iB"
