"""`compare`: a run beside what is published of its data set, with its interval, and a verdict.

Not here: the published results (`.register`), and simple baselines fitted here (`mlkit.evaluate.baselines`).
"""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mlkit.engine.result import FitResult
from mlkit.errors import ConfigError, did_you_mean
from mlkit.evaluate.known.register import KINDS, REGISTER, Known
from mlkit.metrics.estimate import Estimate

WIDTH = 80
Verdict = Literal["reproduces", "falls short", "better", "better than expected", "nothing to compare with"]
_CLOSE = 0.005
"""Accuracies closer than this are the same in practice: single trainings of one recipe differ by as much."""


@dataclass(frozen=True)
class Beside:
    """A published result beside the run.

    Args:
        known: it.
        gap: how much better the run is (accuracy: higher, loss: lower); negative where it is worse.
        low: of its interval, from the run's own; None where the run has none.
        high: likewise.
    """

    known: Known
    gap: float
    low: float | None
    high: float | None

    @property
    def word(self) -> str:
        """Better, worse, or the same as far as the interval and half a point of accuracy tell."""
        margin = _CLOSE if self.known.metric == "accuracy" else 0.02 * self.known.value
        low, high = (self.gap if self.low is None else self.low), (self.gap if self.high is None else self.high)
        if low > margin:
            return "better"
        return "worse" if high < -margin else "the same"


@dataclass(frozen=True)
class KnownComparison:
    """A run beside what is published.

    Args:
        data: the data set.
        model: what was trained.
        metric: that is compared.
        split: of the run, on which.
        value: of the run.
        rows: the published results, the most comparable first.
        notes: what makes the comparison less than exact.
    """

    data: str
    model: str
    metric: str
    split: str
    value: Estimate
    rows: tuple[Beside, ...]
    notes: tuple[str, ...] = ()

    @property
    def nearest(self) -> Beside | None:
        """The same architecture on the same task, if there is one; else the most useful kind of source."""
        return self.rows[0] if self.rows else None

    @property
    def verdict(self) -> Verdict:
        """Against the nearest; ``"better than expected"`` is better than all that is published: look for leakage."""
        nearest = self.nearest
        if nearest is None:
            return "nothing to compare with"
        if all(row.word == "better" for row in self.rows if row.known.same_task) and nearest.word == "better":
            return "better than expected"
        words: dict[str, Verdict] = {"better": "better", "worse": "falls short", "the same": "reproduces"}
        return words[nearest.word]

    def sentence(self) -> str:
        """The verdict in a sentence."""
        nearest = self.nearest
        if nearest is None:
            return f"nothing is registered for {self.data}: simple_baselines fits what can be compared with"
        what = f"{nearest.known.model} ({nearest.known.value:.4g})"
        by = f"{abs(nearest.gap):.4f}{_ends(nearest)}"
        if self.verdict == "reproduces":
            return f"reproduces {what}"
        if self.verdict == "falls short":
            return f"falls short of {what} by {by}"
        if self.verdict == "better":
            return f"better than {what} by {by}"
        return f"better than all that is registered, than {what} by {by}: check for leakage before you believe it"

    def __str__(self) -> str:
        ends = "" if self.value.low is None else f" [{self.value.low:.4f}, {self.value.high:.4f}]"
        lines = [f"{self.model} on {self.data}: {self.metric} on {self.split} {self.value.value:.4f}{ends}", ""]
        for row in self.rows:
            known = row.known
            mark = "" if known.same_task else " (not the same rows)"
            lines.append(f"  {known.value:.4f}  {row.word:<9} {known.model}{mark}"[:WIDTH])
            told = f"{known.kind}; {known.protocol}; {known.source}"
            lines += textwrap.wrap(told, WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10)
        lines += [""] if self.rows else []
        lines += textwrap.wrap(self.sentence(), WIDTH, initial_indent="  ", subsequent_indent="  ")
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  ", subsequent_indent="    ")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "data": self.data,
            "model": self.model,
            "metric": self.metric,
            "split": self.split,
            "value": asdict(self.value),
            "verdict": self.verdict,
            "sentence": self.sentence(),
            "rows": [
                {**asdict(row.known), "gap": row.gap, "low": row.low, "high": row.high, "word": row.word}
                for row in self.rows
            ],
            "notes": list(self.notes),
        }

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def compare(
    result: FitResult | Mapping[str, Estimate] | Path | str,
    *,
    data: str | None = None,
    model: str | None = None,
    notes: Sequence[str] = (),
) -> KnownComparison:
    """Put a run beside what is published of its data set.

    Args:
        result: folder of a finished run, what `mlkit.fit` returned, or metrics of one split by name.
        data: the data set as the catalogue names it; a folder knows its own.
        model: what was trained, as our models are named; likewise.
        notes: to show with the rest.

    Returns:
        The comparison; ``comparison.verdict`` in a word.

    Raises:
        ConfigError: a folder that is not of a finished run; ``data`` is missing, or no metric that is registered.

    >>> from mlkit.metrics.intervals import wilson
    >>> found = compare({"accuracy": wilson(9870, 10000)}, data="mnist", model="lenet")
    >>> found.verdict, found.nearest.known.model
    ('reproduces', 'LeNet-5')
    """
    told = list(notes)
    if isinstance(result, (str, Path)):
        metrics, split, found_data, found_model, more = _of_folder(Path(result).expanduser())
        data, model, told = data or found_data, model or found_model, [*told, *more]
    elif isinstance(result, Mapping):
        metrics, split = dict(result), "test"
    else:
        split = "test" if "test" in result.metrics else "val"
        metrics = dict(result.metrics[split])
    if data is None:
        raise ConfigError("the name of the data set is missing", todo='say which: compare(result, data="mnist")')
    if split != "test":
        told.append("judged on val, which training may have been chosen by; published figures are of test")
    entries = [known for known in REGISTER if known.data == data and known.metric in metrics]
    if not entries and not any(name in metrics for name in ("accuracy", "loss")):
        raise ConfigError("no metric that is registered", received=", ".join(metrics), allowed="accuracy, loss")
    metric = entries[0].metric if entries else ("accuracy" if "accuracy" in metrics else "loss")
    if not entries and data not in {known.data for known in REGISTER}:
        hint = did_you_mean(data, sorted({known.data for known in REGISTER}))
        told.append(
            f"registered are: {', '.join(sorted({known.data for known in REGISTER}))}" + (f"; {hint}" if hint else "")
        )
    ordered = sorted(entries, key=lambda one: (one.ours != model, not one.same_task, KINDS.index(one.kind)))
    value = metrics[metric]
    rows = tuple(_beside(known, metrics[known.metric]) for known in ordered if known.metric == metric)
    return KnownComparison(data, model or "the model", metric, split, value, rows, tuple(told))


def _beside(known: Known, value: Estimate) -> Beside:
    sign = 1 if known.metric == "accuracy" else -1
    ends = [sign * (end - known.value) for end in (value.low, value.high) if end is not None]
    return Beside(
        known, sign * (value.value - known.value), *((min(ends), max(ends)) if len(ends) == 2 else (None, None))
    )


def _of_folder(folder: Path) -> tuple[dict[str, Estimate], str, str, str | None, list[str]]:
    """Metrics, split, data set and model of a finished run, and what makes it less than comparable."""
    try:
        written = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        splits = written["splits"]
        split = "test" if "test" in splits else "val"
        metrics = {
            name: Estimate(
                entry["value"], entry.get("low"), entry.get("high"), entry.get("count", 0), entry.get("method", "")
            )
            for name, entry in splits[split].items()
            if isinstance(entry, dict) and "value" in entry
        }
        data, model = str(about["data"]["name"]), str(about["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "the folder is not that of a finished run",
            received=f"{folder} ({type(error).__name__}: {error})",
            allowed="a folder with result.json and run.json, as training leaves it",
            todo="finish the run, or check the path",
        ) from None
    notes = [
        f"{title}: {text}" for title, text in about["data"].get("notes", {}).items() if title in ("limit", "classes")
    ]
    return metrics, split, data, model, notes


def _ends(row: Beside) -> str:
    if row.low is None or row.high is None:
        return ""
    low, high = sorted((abs(row.low), abs(row.high))) if row.low * row.high > 0 else (row.low, row.high)
    return f" [{low:.4f}, {high:.4f}]"
