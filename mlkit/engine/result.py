"""`FitResult`: what came of a run, to read, to print and to go on with.

Not here: tables and pictures of it (`mlkit.report`), nor files (`mlkit.config.run_folder`).
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from torch import nn

from mlkit.engine.speed_settings import Speed
from mlkit.engine.state import SplitMetrics, TrainState


@dataclass(frozen=True)
class FitResult:
    """What came of a run.

    Args:
        model: the trained model (the one given; averaged weights are in ``state.averaged``).
        metrics: split name to metric name to `Estimate`: whole splits, judged in evaluation mode at the end of the
            run; of an interrupted run the newest there are.
        history: one dictionary an evaluation.
        state: the final state.
        speed: how the steps were carried out.
        fingerprint: of the data; None where they have none (a loader).
    """

    model: nn.Module
    metrics: dict[str, SplitMetrics]
    history: list[dict[str, Any]]
    state: TrainState
    speed: Speed
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers: how the run ended, its size, and the metrics of every split with their intervals."""
        return progress_of(self.state)

    def __str__(self) -> str:
        lines = [f"{self.state.status}: {self.state.epoch} epochs, {self.state.step} steps, {self.state.seconds:.1f} s"]
        for split, metrics in self.metrics.items():
            lines.append(f"  {split:<10} " + "  ".join(f"{name} {value}" for name, value in metrics.items()))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for metrics in self.metrics.values() for name in metrics))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("split", *names))
        rows = "".join(
            f"<tr><td>{html.escape(split)}</td>"
            + "".join(f"<td>{html.escape(str(metrics.get(name, '')))}</td>" for name in names)
            + "</tr>"
            for split, metrics in self.metrics.items()
        )
        first = html.escape(str(self).splitlines()[0])
        return f"<p>{first}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def progress_of(state: TrainState) -> dict[str, Any]:
    """How far a run came, as plain numbers; also of one that failed."""
    best = None if state.best_step is None else {"value": state.best, "step": state.best_step}
    return {
        "status": state.status,
        "stop_reason": state.stop_reason,
        "epochs": state.epoch,
        "steps": state.step,
        "examples": state.examples,
        "seconds": round(state.seconds, 3),
        "parameters": sum(parameter.numel() for parameter in state.model.parameters()),
        "best": best,
        "splits": {
            split: {name: value.to_dict() for name, value in metrics.items()}
            for split, metrics in state.metrics.items()
        },
    }
