"""`first_step`: one training step in slow motion, layer by layer, or the place where it breaks.

Not here: whether the model learns (`mlkit.debug.overfit`), and what the values are like (`mlkit.debug.check`).
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mlkit.data.splits import Batch
from mlkit.debug.check import check
from mlkit.debug.findings import Finding
from mlkit.debug.overfit.choose import batch_of
from mlkit.debug.overfit.course import Setup, tensors_of
from mlkit.debug.overfit.run import MakeOptimizer, prepared
from mlkit.engine.nonfinite import tensors_in
from mlkit.engine.step import LossFunction, forward
from mlkit.runtime import rng

Stage = Literal["forward", "loss", "backward", "step"]
STAGES: tuple[Stage, ...] = ("forward", "loss", "backward", "step")
_SAYS: dict[Stage, str] = {
    "forward": "the model cannot be called on the batch",
    "loss": "the loss cannot be computed from the output and the targets",
    "backward": "no gradient can be computed from the loss",
    "step": "the optimiser cannot make its step",
}
_HEADER = ("layer", "kind", "in", "out", "parameters")
_WIDTH = 80
_MOST_ROWS = 60


@dataclass(frozen=True)
class Row:
    """One call of one layer.

    Args:
        layer: its name in the model; of the whole model, empty.
        kind: its class.
        given: shapes and dtypes of the tensors that it was called with.
        made: those of what it returned; empty where it broke.
        parameters: numbers in its own parameters.
    """

    layer: str
    kind: str
    given: tuple[str, ...]
    made: tuple[str, ...]
    parameters: int


@dataclass(frozen=True)
class Failure:
    """Where a step broke.

    Args:
        stage: of the step.
        layer: the innermost layer under way, where there was one.
        message: of the exception, with its type.
        finding: what the doctor says about it: what does not fit, and what would; None where it knows nothing.
    """

    stage: Stage
    layer: str | None
    message: str
    finding: Finding | None = None


@dataclass(frozen=True)
class FirstStep:
    """What one training step showed.

    Args:
        rows: the calls of all layers that hold no other, in order.
        batch: shapes and dtypes of inputs and targets.
        output: of what the model returned.
        loss: its value at the start; NaN where there is none.
        without_gradient: trainable parameters that the loss does not depend on.
        failure: where it broke; None where it did not.
    """

    rows: tuple[Row, ...]
    batch: tuple[str, ...]
    output: tuple[str, ...] = ()
    loss: float = math.nan
    without_gradient: tuple[str, ...] = ()
    failure: Failure | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the step could be made."""
        return self.failure is None

    def __str__(self) -> str:
        return self.text()

    def text(self, *, most: int = _MOST_ROWS) -> str:
        """The table and what is said under it.

        Args:
            most: rows; of more, the first and the last are shown.
        """
        cells = [_cells(row) for row in self.rows]
        if len(cells) > most:
            left = f"… {len(cells) - most + 1} more calls"
            cells = [*cells[: most // 2], (left, "", "", "", ""), *cells[len(cells) - (most - most // 2) + 1 :]]
        lines = [f"one step: {'runs' if self.is_fine else f'breaks in {self._where()}'}", ""]
        return "\n".join([*lines, *_table([_HEADER, *cells]), "", *self.conclusion()])

    def conclusion(self) -> list[str]:
        """What is said under the table, in lines."""
        told: list[str] = [f"batch {', '.join(self.batch)}; output {', '.join(self.output) or 'none'}"]
        if self.failure is None:
            told.append(f"loss at the start: {self.loss:.4g}")
            if self.without_gradient:
                names = ", ".join(self.without_gradient[:5])
                more = len(self.without_gradient) - 5
                told.append(f"no gradient reaches: {names}{f' and {more} more' if more > 0 else ''}")
        else:
            told.append(f"{_SAYS[self.failure.stage]}: {self.failure.message}")
            finding = self.failure.finding
            if finding is not None:
                told += [f"so: {finding.message}", f"fix: {finding.fix}"]
                told += [f"at {finding.site}"] if finding.site else []
        return [line for text in told for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")]

    def _where(self) -> str:
        assert self.failure is not None
        layer = self.failure.layer
        return f"{self.failure.stage}, {layer}" if layer else self.failure.stage

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        failure = self.failure
        told = None
        if failure is not None:
            finding = None if failure.finding is None else failure.finding.to_dict()
            told = {"stage": failure.stage, "layer": failure.layer, "message": failure.message, "finding": finding}
        return {
            "runs": self.is_fine,
            "rows": [asdict(row) for row in self.rows],
            "batch": list(self.batch),
            "output": list(self.output),
            "loss": self.loss if math.isfinite(self.loss) else None,
            "without_gradient": list(self.without_gradient),
            "failure": told,
        }

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in _HEADER)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(row)) + "</tr>" for row in self.rows
        )
        told = html.escape("\n".join(self.conclusion()))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><pre>{told}</pre>"


def first_step(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    seed: int = 0,
) -> FirstStep:
    """Make one training step on copies and look at every layer on the way.

    Args:
        model: as for `mlkit.overfit_batch`, like all that follows. Nothing that is given is changed.
        batch: likewise.
        loss_fn: likewise.
        optimizer: likewise.
        seed: of dropout and of the choice of examples.

    Returns:
        The table, and where the step breaks: the layer, the shapes on the way to it, and what would fit.

    Raises:
        DataError: ``batch`` holds no pairs of inputs and targets.
        ModelError: the model cannot be copied.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 5 * 5, 3))
        >>> step = first_step(model, (torch.randn(8, 1, 8, 8), torch.arange(8) % 3))
        >>> step.failure.layer, step.failure.finding.fix
        ('2 (Linear)', 'nn.Linear(144, 3)   # in_features=144, or change what comes before it')
    """
    taken, _ = batch_of(batch, seed=seed)
    setup = prepared(model, taken, loss_fn, optimizer, seed=seed)
    with rng.preserved():
        rng.seed_everything(seed)
        return _made(setup.copied(), setup)


def _made(twin: Setup, start: Setup) -> FirstStep:
    rows: list[Row] = []
    under_way: list[str] = []
    stage: Stage = "forward"
    output: Any = None
    loss = math.nan
    shapes = tuple(map(_text, tensors_of(twin.batch)))
    twin.model.train()
    try:
        with _watched(twin.model, rows, under_way):
            output = forward(twin.model, twin.batch)
        stage = "loss"
        value = twin.loss_fn(output, twin.batch.targets)
        loss = float(value.detach())
        stage = "backward"
        twin.optimizer.zero_grad()
        torch.autograd.backward(value)
        without = tuple(name for name, one in twin.model.named_parameters() if one.requires_grad and one.grad is None)
        stage = "step"
        twin.optimizer.step()
    except Exception as error:
        told = "; ".join(line.strip() for line in str(error).strip().splitlines()[:4])
        message = f"{type(error).__name__}: {told or 'no message'}"
        failure = Failure(stage, under_way[-1] if under_way else None, message, _explained(start))
        return FirstStep(tuple(rows), shapes, tuple(map(_text, tensors_in(output))), loss, failure=failure)
    return FirstStep(tuple(rows), shapes, tuple(map(_text, tensors_in(output))), loss, without)


def _explained(setup: Setup) -> Finding | None:
    """What the doctor says of a step that fails."""
    twin = setup.copied()
    batch: Batch = twin.batch
    pair = (batch.inputs, batch.targets)
    report = check(twin.model, [pair], loss_fn=twin.loss_fn, optimizer=twin.optimizer, steps=1, seconds=10.0)
    known = [one for one in report.findings if one.severity == "error" and one.fix]
    return known[0] if known else None


@contextmanager
def _watched(model: nn.Module, rows: list[Row], under_way: list[str]) -> Iterator[None]:
    """Notes the calls of all layers that hold no other, and which one is under way when something is raised."""
    handles: list[Any] = []

    def watch(name: str, module: nn.Module) -> None:
        kind = type(module).__name__
        own = sum(one.numel() for one in module.parameters(recurse=False))
        is_leaf = next(module.children(), None) is None

        def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
            under_way.append(f"{name or 'the model itself'} ({kind})")
            if is_leaf:
                rows.append(Row(name, kind, tuple(map(_text, tensors_in([*args, *kwargs.values()]))), (), own))

        def leave(_: nn.Module, args: Any, output: Any) -> None:
            under_way.pop()
            if is_leaf:
                place = max(i for i, row in enumerate(rows) if row.layer == name and not row.made)
                rows[place] = Row(name, kind, rows[place].given, tuple(map(_text, tensors_in(output))), own)

        handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(module.register_forward_hook(leave))

    for name, module in model.named_modules():
        watch(name, module)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _text(tensor: Tensor) -> str:
    """Shape and dtype of a tensor: ``8x1x28x28 float32``."""
    return f"{'x'.join(map(str, tensor.shape)) or 'scalar'} {str(tensor.dtype).removeprefix('torch.')}"


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    made = ", ".join(row.made) if row.made else "— breaks here"
    count = f"{row.parameters:,}" if row.parameters else ""
    return row.layer or "(model)", row.kind, _short(row.given), _short(row.made) if row.made else made, count


def _short(shapes: Sequence[str]) -> str:
    """Shapes without the dtype that nearly all tensors have."""
    return ", ".join(shape.removesuffix(" float32") for shape in shapes)


def _table(cells: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    excess = sum(widths) + 2 * (len(widths) - 1) - _WIDTH
    for column in (2, 0, 3, 1):
        room = max(0, min(excess, widths[column] - 10))
        widths[column] -= room
        excess -= room
    lines = ["  ".join(_cut(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return [lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]]


def _cut(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else "…" + text[len(text) - width + 1 :]
