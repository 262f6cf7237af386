"""`simple_baselines`: what needs no network, on the same splits and by the same measure: is the model learning at all?

Not here: published results (`mlkit.evaluate.known`), and how the baselines are fitted (`mlkit.evaluate.baseline_fits`).
"""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mlkit.data.bundle import DataBundle, SplitName
from mlkit.engine.result import FitResult
from mlkit.errors import ConfigError
from mlkit.evaluate.baseline_fits import Fitted, fits_for
from mlkit.evaluate.differences import Evidence, difference, level
from mlkit.evaluate.ladder_of import errors_of
from mlkit.evaluate.terms import WIDTH, Term
from mlkit.metrics.losses import loss_for

Floats = NDArray[np.float64]
Of = Literal["auto", "error", "loss"]
Verdict = Literal["better than all", "better than constant", "not resolved", "not learning"]
_MEANS: dict[Verdict, str] = {
    "better than all": "the model is better than every simple baseline",
    "better than constant": "the model is better than a constant answer, and not than the best simple baseline",
    "not resolved": "too few rows tell the model from a constant answer",
    "not learning": "the model is no better than a constant answer",
}
ROWS = 5000


@dataclass(frozen=True)
class Baseline:
    """One simple predictor on one split.

    Args:
        name: of it.
        term: its mean error or loss, with its interval.
        rows: error or loss of every row.
        seconds: to fit and to predict.
        difference: the model's minus its own, row by row; None without a model.
        note: what was chosen, or why there is nothing.
    """

    name: str
    term: Term
    rows: Floats
    seconds: float
    difference: Term | None = None
    note: str = ""


@dataclass(frozen=True)
class Baselines:
    """Simple predictors beside a model.

    Args:
        rows: in the order from the most to the least simple; the first is a constant answer.
        model: the model's own error or loss; None where none was given.
        of: what was measured: ``"error"`` (share of wrong classes) or ``"loss"``.
        split: on which.
        trained_on: rows of ``train`` that were used.
        train_rows: that there are.
        skipped: what could not be fitted, and why.
    """

    rows: tuple[Baseline, ...]
    model: Term | None
    of: str
    split: str
    trained_on: int
    train_rows: int
    skipped: tuple[str, ...] = ()

    @property
    def best(self) -> Baseline:
        """The one with the lowest error or loss."""
        return min(self.rows, key=lambda one: one.term.value)

    @property
    def verdict(self) -> Verdict | None:
        """How the model does, told from paired intervals; None without a model.

        ``"better than all"`` says that it beats the best baseline, and with it a constant answer.
        """
        constant, best = self.rows[0].difference, self.best.difference
        if constant is None or best is None:
            return None
        if constant.value >= 0 or constant.low is None:
            return "not learning"
        if not constant.resolved:
            return "not resolved"
        return "better than all" if best.resolved and best.value < 0 else "better than constant"

    @property
    def way(self) -> float | None:
        """How far the model has come from a constant answer (0) to the best baseline (1); None without a model."""
        gap = self.rows[0].term.value - self.best.term.value
        return None if self.model is None or gap <= 0 else (self.rows[0].term.value - self.model.value) / gap

    def __str__(self) -> str:
        lines = [f"simple baselines: {self.of} on {self.split}", ""]
        names = [one.name for one in self.rows] + (["the model"] if self.model is not None else [])
        width = max(map(len, names))
        head = "model − baseline" if self.model is not None else ""
        lines.append(f"  {'':<{width}}  {self.of:>8}  {'95 % interval':<18}{head}")
        for one in self.rows:
            beside = "" if one.difference is None else _with_ends(one.difference)
            lines.append(f"  {one.name:<{width}}  {one.term.value:>8.4f}  {_ends(one.term):<18}{beside}".rstrip())
        if self.model is not None:
            lines.append(f"  {'the model':<{width}}  {self.model.value:>8.4f}  {_ends(self.model)}".rstrip())
        lines.append("")
        if self.verdict is not None:
            told = _MEANS[self.verdict]
            if self.verdict == "better than constant" and self.way is not None:
                told += f" ({self.best.name}): {self.way:.0%} of the way from the one to the other"
            lines += textwrap.wrap(told, WIDTH, initial_indent="  ", subsequent_indent="  ")
        of = "" if self.trained_on == self.train_rows else f" of {self.train_rows:,}"
        spent = sum(one.seconds for one in self.rows)
        lines.append(f"  fitted on {self.trained_on:,}{of} rows of train in {spent:.1f} s")
        lines += [f"  {one.name}: {one.note}"[:WIDTH] for one in self.rows if one.note]
        lines += [f"  not fitted: {told}"[:WIDTH] for told in self.skipped]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "of": self.of,
            "split": self.split,
            "trained_on": self.trained_on,
            "train_rows": self.train_rows,
            "verdict": self.verdict,
            "model": None if self.model is None else self.model.to_dict(),
            "baselines": [
                {
                    "name": one.name,
                    **one.term.to_dict(),
                    "seconds": round(one.seconds, 3),
                    "difference": None if one.difference is None else one.difference.to_dict(),
                    "note": one.note,
                }
                for one in self.rows
            ],
            "skipped": list(self.skipped),
        }

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(str(self))}</pre>"


def simple_baselines(
    data: DataBundle,
    model: FitResult | nn.Module | None = None,
    *,
    split: SplitName = "val",
    of: Of = "auto",
    most_rows: int = ROWS,
    seed: int = 0,
) -> Baselines:
    """Fit simple predictors on ``train`` and judge them, and a model, on one split, row by row.

    A constant answer (the most frequent class, or the mean; for text the frequencies of tokens); for series the last
    value and the seasonal naive forecast (the past value that copies best on ``train``); linear or logistic regression;
    k nearest neighbours; gradient-boosted trees; for text the frequencies after each token. Nothing of them is tuned.

    Args:
        data: as the model was trained on.
        model: what `mlkit.fit` returned, or a model; compared with each baseline on the same rows.
        split: to judge on.
        of: ``"error"`` counts wrong classes, ``"loss"`` takes the loss of the task; ``"auto"`` is the error for
            classes and the loss for anything else.
        most_rows: of ``train``, drawn at random where there are more.
        seed: of the draw, and of the trees.

    Returns:
        The table; ``baselines.verdict`` tells whether the model is learning at all.

    Raises:
        ConfigError: a split that is not there, or the error rate of a task that has none.

    Example:
        >>> import mlkit
        >>> found = simple_baselines(mlkit.data.load("wine"))
        >>> [one.name for one in found.rows]
        ['most frequent class', 'logistic regression', '5 nearest neighbours', 'gradient-boosted trees']
        >>> found.best.term.value < 0.2 < found.rows[0].term.value
        True
    """
    held = dict(data.splits()).get(split)
    if held is None:
        there = ", ".join(name for name, _ in data.splits())
        raise ConfigError("the data have no such split", received=f"split={split!r}", allowed=there)
    kind: Literal["error", "loss"] = of if of != "auto" else ("error" if data.task.kind == "classification" else "loss")
    if kind == "error" and data.task.kind != "classification":
        raise ConfigError(f"{data.task.kind} has no error rate", received="of='error'", allowed="of='loss'")
    own: Floats | None = None
    if model is not None:
        network = model if isinstance(model, nn.Module) else model.state.eval_model
        device = next((parameter.device for parameter in network.parameters()), None)
        own = errors_of(network, held if device is None else held.to(device), data.task, of=kind)
    rows: list[Baseline] = []
    skipped: list[str] = []
    used, fits = fits_for(data, most_rows=most_rows, seed=seed)
    for name, fit in fits:
        begin = time.perf_counter()
        try:
            fitted = fit()
            errors = _judged(fitted, data, split, kind)
        except Exception as error:  # a baseline that cannot be fitted is no reason to have none
            skipped.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        spent = time.perf_counter() - begin
        evidence = _evidence(errors, is_rate=kind == "error")
        beside = None
        if own is not None:
            beside = difference("model − baseline", _evidence(own, is_rate=kind == "error"), evidence, same_rows=True)
        rows.append(Baseline(name, level(name, evidence), errors, spent, beside, fitted.note))
    term = None if own is None else level("the model", _evidence(own, is_rate=kind == "error"))
    return Baselines(tuple(rows), term, kind, split, used, len(data.train), tuple(skipped))


def _judged(fitted: Fitted, data: DataBundle, split: SplitName, kind: str) -> Floats:
    """Error or loss of every row, by the same functions as a model's."""
    held = dict(data.splits())[split]
    output, targets = fitted.predict(held)
    if kind == "error":
        return np.asarray((output.argmax(1) != targets).double().numpy(), dtype=np.float64)
    return np.asarray(loss_for(data.task).per_example(output, targets).double().numpy(), dtype=np.float64)


def _evidence(rows: Floats, *, is_rate: bool) -> Evidence:
    variance = float(np.var(rows, ddof=1)) if len(rows) > 1 else float("nan")
    return Evidence(float(np.mean(rows)), len(rows), is_rate, variance, rows)


def _ends(term: Term) -> str:
    return "" if term.low is None or term.high is None else f"[{term.low:.4f}, {term.high:.4f}]"


def _with_ends(term: Term) -> str:
    ends = "" if term.low is None or term.high is None else f" [{term.low:+.4f}, {term.high:+.4f}]"
    return f"{term.value:+.4f}{ends}"
