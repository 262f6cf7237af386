"""`MetricsFile`: the history of a run as plain lines of JSON, one evaluation a line.

Not here: per-step values, which would be many (`mlkit.tracking.tensorboard` keeps averages of them).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.runtime.files import plain, write_text
from mlkit.tracking.guard import harmless


class MetricsFile(Hook):
    """Keeps a file equal to ``state.history``, one JSON object a line; NaN and infinities are null.

    At the start the file is written anew as a whole, so after a resume it holds no line from beyond the checkpoint and
    no half line. When a write fails the next one starts afresh, so a full disk that is emptied leaves no gap.

    Args:
        path: the file; its folder is made.

    Example:
        >>> import tempfile, torch
        >>> from mlkit.engine.fit import fit
        >>> file = Path(tempfile.mkdtemp()) / "metrics.jsonl"
        >>> x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> _ = fit(torch.nn.Linear(2, 2), (x, (x[:, 0] > 0).long()), max_epochs=1, hooks=[MetricsFile(file)])
        >>> file.read_text().splitlines()[0]
        '{"step": 2, "epoch": 1, "split": "running", "loss": ...}'
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.warned = False
        self._written: int | None = None  # lines that are in the file; None: not known

    @harmless
    def on_fit_start(self, state: TrainState) -> None:
        self._written = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._sync(state)

    @harmless
    def on_epoch_start(self, state: TrainState) -> None:
        self._sync(state)

    @harmless
    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        self._sync(state)

    @harmless
    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        self._sync(state)

    def _sync(self, state: TrainState) -> None:
        known, self._written = self._written, None
        if known is None or known > len(state.history):
            write_text(self.path, _lines(state.history))
        elif known < len(state.history):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_lines(state.history[known:]))
        self._written = len(state.history)


def _lines(entries: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(plain(entry)) + "\n" for entry in entries)
