"""`lr_range_test`: the loss while the learning rate rises from tiny to too large, and the rate to begin with.

Not here: schedules (`mlkit.engine.schedules`), and whether the rate is what is wrong (`mlkit.debug.overfit`).
"""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from mlkit.data.adapt import as_batches
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Batch
from mlkit.debug.overfit.run import MakeOptimizer, on_device, prepared
from mlkit.engine.step import LossFunction, forward
from mlkit.errors import ConfigError, DataError
from mlkit.runtime import rng

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 120
_DIVERGED = 4.0
"""A smoothed loss so many times the lowest, above the level of the start, has diverged (Smith 2017 stops there)."""
_MEMORY = 0.85
"""Of the exponential smoothing: about seven batches."""
_WIDTH = 80


@dataclass(frozen=True)
class RangeTest:
    """What a rising learning rate did.

    Args:
        rates: of every step.
        losses: of every step, before its update.
        smoothed: the same, averaged over about seven batches on either side, so that nothing is late.
        steepest: the rate at which the smoothed loss fell fastest, per factor of the rate; None where it never fell.
        diverges: the rate from which the loss went up for good; None where it did not.
        suggestion: the rate to begin with; None where the loss neither fell nor went up.
        because: how it was chosen.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float | None
    diverges: float | None
    suggestion: float | None
    because: str

    def __str__(self) -> str:
        from mlkit.debug.overfit.report import bars

        head = "learning rate to begin with: "
        head += "none, the loss never fell" if self.suggestion is None else f"{self.suggestion:.2g}"
        lines = [head, ""]
        finite = [value for value in self.smoothed if math.isfinite(value)]
        start = self.smoothed[0] if finite else 0.0
        shown = [min(value, 1.5 * start) if math.isfinite(value) else math.nan for value in self.smoothed]
        lines.append("  " + bars(shown, [value for value in shown if math.isfinite(value)], width=72))
        lines.append(f"  {f'{self.rates[0]:.1g}':<36}{f'{self.rates[-1]:.1g}':>36}" if self.rates else "")
        lines.append("")
        lines += textwrap.wrap(self.because, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def figure(self) -> Figure:
        """The picture: loss over the rate, the suggestion marked."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.6), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        grey = "#7A7A7A"
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        axes.plot(self.rates, self.losses, color="#56B4E9", linewidth=0.8, alpha=0.7, label="each batch")
        axes.plot(self.rates, self.smoothed, color="#0072B2", linewidth=1.8, label="smoothed")
        axes.set_xscale("log")
        top = 1.5 * max(self.smoothed[0], self.losses[0])
        low = min(value for value in self.smoothed if math.isfinite(value))
        axes.set_ylim(low - 0.08 * (top - low), top)
        for rate, colour, name in (
            (self.suggestion, "#009E73", "suggestion"),
            (self.steepest, "#E69F00", "steepest"),
            (self.diverges, "#D55E00", "diverges"),
        ):
            if rate is not None:
                style = "-" if name == "suggestion" else ":"
                axes.axvline(rate, color=colour, linestyle=style, label=f"{name}, {rate:.2g}")
        axes.set_xlabel("learning rate", color=grey)
        axes.set_ylabel("loss", color=grey)
        axes.spines[["top", "right"]].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(grey)
        axes.tick_params(which="both", color=grey, labelcolor=grey)
        axes.legend(frameon=False, labelcolor=grey, fontsize=9, loc="upper left")
        return figure

    def _repr_html_(self) -> str:
        stream = io.StringIO()
        self.figure().savefig(stream, format="svg")
        svg = re.sub(r"^.*?(?=<svg)", "", stream.getvalue(), flags=re.DOTALL)
        return f"{svg}<p>{self.because}</p>"


def lr_range_test(
    model: nn.Module,
    data: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    low: float = LOWEST,
    high: float = HIGHEST,
    steps: int = STEPS,
    batch_size: int = 32,
    seed: int = 0,
) -> RangeTest:
    """Train a copy for some steps while the learning rate rises by a constant factor, and suggest one.

    The suggestion is a tenth of the rate from which the loss went up for good, or the rate at which it fell fastest,
    whichever is smaller: the one is a bound with a margin, the other where a step gains most. It stops when the loss
    has diverged. Nothing that is given is changed, and no random stream moves.

    Args:
        model: at the start of its training.
        data: what training is given: a bundle (of which ``train`` is taken), ``(x, y)``, a data set, a loader.
        loss_fn: ``loss_fn(output, targets) -> scalar``; by default what the targets call for.
        optimizer: of the model's parameters, or a function that makes one; by default Adam. The rates of its groups
            keep their proportions; the test's rate is the first group's.
        low: rate of the first step.
        high: rate of the last.
        steps: at most.
        batch_size: where ``data`` are not batches already.
        seed: of the batches' order, and of dropout.

    Raises:
        ConfigError: rates or steps that cannot be right.
        DataError: ``data`` hold no pairs of inputs and targets.
        ModelError: the model cannot be copied.

    Source: L. N. Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
        >>> test = lr_range_test(model, (x, x[:, :3].argmax(1)))
        >>> test.suggestion is not None and 1e-4 < test.suggestion < 1
        True
    """
    if not (0 < low < high and math.isfinite(high)) or steps < 20:
        raise ConfigError(
            "a range test of rates or steps that cannot be right",
            received=f"low={low:g}, high={high:g}, steps={steps}",
            allowed="0 < low < high, and 20 steps or more",
        )
    batches = _batches(data, batch_size, seed)
    first = next(batches, None)
    if first is None:
        raise DataError("the data have no batches", received=type(data).__name__, allowed="one batch or more")
    setup = prepared(model, first, loss_fn, optimizer, seed=seed)
    trained, groups = setup.model.train(), setup.optimizer.param_groups
    base = float(groups[0]["lr"]) or 1.0
    parts = [float(group["lr"]) / base or 1.0 for group in groups]
    device = next((one.device for one in trained.parameters()), torch.device("cpu"))
    rates: list[float] = []
    losses: list[float] = []
    smooth: list[float] = []
    average = 0.0
    with rng.preserved():
        rng.seed_everything(seed)
        for step, batch in enumerate(itertools.islice(itertools.chain([first], batches), steps)):
            rate = low * (high / low) ** (step / (steps - 1))
            for group, part in zip(groups, parts, strict=True):
                group["lr"] = rate * part
            batch = on_device(batch, device)
            loss = setup.loss_fn(forward(trained, batch), batch.targets)
            rates.append(rate)
            losses.append(float(loss.detach()))
            average = _MEMORY * average + (1 - _MEMORY) * losses[-1]
            smooth.append(average / (1 - _MEMORY ** (step + 1)))
            if not math.isfinite(losses[-1]) or _has_diverged(smooth):
                break
            setup.optimizer.zero_grad()
            torch.autograd.backward(loss)
            setup.optimizer.step()
    return _judged(rates, losses)


def _batches(data: object, batch_size: int, seed: int) -> Iterator[Batch]:
    """Batches for ever, epoch after epoch."""
    given = data.train if isinstance(data, DataBundle) else data
    batches = as_batches(cast("Any", given), batch_size=batch_size, shuffle=True, seed=seed)
    for epoch in itertools.count():
        is_empty = True
        with rng.preserved():
            content = iter(batches.epoch(epoch))
        for batch in content:
            is_empty = False
            yield batch
        if is_empty:
            return


def _has_diverged(smooth: Sequence[float]) -> bool:
    start, lowest = smooth[0], min(smooth)
    return smooth[-1] > max(start, lowest) + (_DIVERGED - 1) * abs(lowest)


def _judged(rates: list[float], losses: list[float]) -> RangeTest:
    """Where it fell fastest, from where it went up, and what follows."""
    smooth = _centred(losses)
    finite = [i for i, value in enumerate(smooth) if math.isfinite(value)]
    noise = _noise(losses)
    lowest = min(finite, key=lambda i: smooth[i])
    fell = smooth[0] - smooth[lowest]
    went_up = next(
        (i for i in range(lowest, len(smooth)) if not smooth[i] <= smooth[lowest] + max(0.25 * fell, noise)), None
    )
    diverges = None if went_up is None else rates[went_up]
    arrays = tuple(rates), tuple(losses), tuple(smooth)
    if fell <= 2 * noise:
        because = f"the smoothed loss fell by {fell:.3g}, no more than it trembles ({noise:.3g})"
        if diverges is None:
            return RangeTest(*arrays, None, None, None, f"{because}, nor did it go up: nothing to go by")
        because += f"; it went up for good from {diverges:.2g}: a tenth of that, for want of better"
        return RangeTest(*arrays, None, diverges, diverges / 10, because)
    # Slopes over seven steps, before the lowest point.
    slopes = {i: (smooth[i + 3] - smooth[i - 3]) / 6 for i in range(3, max(4, lowest - 2)) if i + 3 < len(smooth)}
    steepest = rates[min(slopes, key=lambda i: slopes[i])] if slopes else rates[lowest]
    if diverges is None:
        because = f"the loss fell fastest at {steepest:.2g}, and did not go up until {rates[-1]:.2g}"
        return RangeTest(*arrays, steepest, None, steepest, because)
    suggestion = min(steepest, diverges / 10)
    which = "a tenth of the latter" if suggestion < steepest else "the former, which is less than a tenth of the latter"
    because = f"the loss fell fastest at {steepest:.2g} and went up for good from {diverges:.2g}: {which}"
    return RangeTest(*arrays, steepest, diverges, suggestion, because)


def _centred(losses: Sequence[float]) -> list[float]:
    """Exponential averages from both sides; an average of the past alone is late by half a decade of the rate."""
    sums, weights = [0.0] * len(losses), [0.0] * len(losses)
    for order in (range(len(losses)), range(len(losses) - 1, -1, -1)):
        total = weight = 0.0
        for i in order:
            if math.isfinite(losses[i]):
                total, weight = _MEMORY * total + losses[i], _MEMORY * weight + 1
            sums[i] += total
            weights[i] += weight
    # The value itself is in both.
    return [
        (total - value) / (weight - 1) if math.isfinite(value) else math.nan
        for total, weight, value in zip(sums, weights, losses, strict=True)
    ]


def _noise(losses: Sequence[float]) -> float:
    """By how much the smoothed loss trembles while the rate is too small to matter: over the first quarter."""
    first = [value for value in losses[: max(8, len(losses) // 4)] if math.isfinite(value)]
    mean = sum(first) / len(first)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in first) / max(len(first) - 1, 1))
    # Weights m^|k| over both sides: the sum of their squares over the square of their sum.
    m = _MEMORY
    return deviation * math.sqrt((1 + m * m) / (1 - m * m)) * (1 - m) / (1 + m)
