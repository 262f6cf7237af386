"""`Record`: how far a member came and what was measured on the way; plain values, so that it can be written to disk.

Not here: its weights, which the back end holds (`mlkit.population.backend`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Literal

from mlkit.engine.evaluation import values
from mlkit.engine.state import SplitMetrics
from mlkit.metrics.estimate import Estimate

MemberStatus = Literal["running", "completed", "stopped", "diverged", "failed"]
_PLAIN = ("status", "reason", "epoch", "step", "examples", "seconds")


@dataclass
class Record:
    """How a member stands.

    Args:
        status: ``"running"`` until it is over: ``"completed"`` all epochs, ``"stopped"`` at a rung, ``"diverged"`` to a
            loss that is no number, ``"failed"`` with an error of its own.
        reason: why it stopped, diverged or failed.
        epoch: epochs completed.
        step: optimiser steps done.
        examples: examples seen.
        seconds: training time; members that train together share the time evenly.
        history: as `TrainState` keeps it.
        metrics: newest metrics by split; of a completed member those of whole splits.
        error: the exception behind ``reason`` where there is one; not kept on disk.
    """

    status: MemberStatus = "running"
    reason: str | None = None
    epoch: int = 0
    step: int = 0
    examples: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, SplitMetrics] = field(default_factory=dict)
    error: Exception | None = field(default=None, compare=False, repr=False)

    def note(self, split: str, metrics: SplitMetrics, *, final: bool = False) -> None:
        """Take in an evaluation, as `mlkit.engine.loop.record` does."""
        self.metrics[split] = metrics
        where = {"step": self.step, "epoch": self.epoch, "split": split}
        self.history.append({**where, **({"final": True} if final else {}), **values(metrics)})

    def end(self, status: MemberStatus, reason: str | None = None) -> None:
        """It trains no more."""
        self.status, self.reason = status, reason

    def copy(self) -> Record:
        """A copy that later changes do not reach."""
        return copy.deepcopy(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `from_dict` reads them."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "history": [dict(entry) for entry in self.history],
            "metrics": {
                split: {name: estimate.to_dict() for name, estimate in metrics.items()}
                for split, metrics in self.metrics.items()
            },
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Record:
        """What `to_dict` gave.

        >>> record = Record(epoch=2)
        >>> record.note("val", {"loss": Estimate(0.5)})
        >>> Record.from_dict(record.to_dict()) == record
        True
        """
        metrics = {
            split: {name: Estimate(**estimate) for name, estimate in metrics.items()}
            for split, metrics in content["metrics"].items()
        }
        plain = {name: content[name] for name in _PLAIN}
        return cls(**plain, history=content["history"], metrics=metrics)
