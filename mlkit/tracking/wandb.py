"""`WandB`: settings and metrics of a run with Weights & Biases, offline or online.

Not here: the name clash; ``import wandb`` in this file is the real package.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mlkit.engine.hooks import Hook
from mlkit.engine.state import SplitMetrics, TrainState
from mlkit.runtime.imports import optional_import
from mlkit.tracking.guard import harmless
from mlkit.tracking.points import points

RUN_ID = "wandb:run_id"


class WandB(Hook):
    """Records a run with the W&B client.

    After each epoch ``SPLIT/METRIC`` and ``learning_rate`` are logged at the step of the evaluation; the last
    evaluation of whole splits goes to the summary as ``final/SPLIT/METRIC``. A resumed run keeps its id. Offline runs
    lie in ``FOLDER/wandb`` until ``wandb sync`` sends them.

    Args:
        project: name of the project.
        name: name of the run; W&B makes one up by default.
        config: settings of the run, nested or flat.
        mode: ``"offline"`` writes files only; ``"online"`` needs an account and a network.
        folder: where W&B keeps its files; the working folder by default.

    Raises:
        MissingExtraError: wandb is not installed.

    Example:
        WandB("digits", name="first try", config={"lr": 3e-4})
    """

    def __init__(
        self,
        project: str = "mlkit",
        name: str | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        mode: Literal["offline", "online"] = "offline",
        folder: Path | str | None = None,
    ) -> None:
        optional_import("wandb", extra="wandb", purpose="tracking with Weights & Biases")
        self.project, self.name, self.config, self.mode, self.folder = project, name, config or {}, mode, folder
        self.warned = False
        self._run: Any = None
        self._sent = 0  # entries of the history that are logged

    @harmless
    def on_fit_start(self, state: TrainState) -> None:
        import wandb

        self._sent = len(state.history)
        if self.folder is not None:
            Path(self.folder).mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=self.project,
            name=self.name,
            config=dict(self.config),
            mode=self.mode,
            dir=None if self.folder is None else str(self.folder),
            id=state.extra.get(RUN_ID),
            resume="allow",
            reinit="create_new",  # a run that the person has open is left alone
            # Its own lines and its copy of ours would run into the progress bar.
            settings=wandb.Settings(console="off", silent=True),
        )
        state.extra[RUN_ID] = self._run.id

    @harmless
    def on_epoch_start(self, state: TrainState) -> None:
        self._send(state)

    @harmless
    def on_evaluation(self, state: TrainState, split: str, metrics: SplitMetrics) -> None:
        if split == "val":
            self._send(state)

    @harmless
    def on_fit_end(self, state: TrainState, error: BaseException | None) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        try:
            self._send(state, run)
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run.finish(exit_code=0 if state.status in ("completed", "stopped") else 1)

    def _send(self, state: TrainState, run: Any = None) -> None:
        run = self._run if run is None else run
        if run is None:
            return
        new, self._sent = state.history[self._sent :], len(state.history)
        by_step: dict[int, dict[str, float]] = {}
        for entry in new:
            if entry.get("final"):
                run.summary.update(points(entry))
            else:
                by_step.setdefault(entry["step"], {"epoch": entry["epoch"]}).update(points(entry))
        for step, values in by_step.items():
            rate = {"learning_rate": state.learning_rate} if step == state.step else {}
            run.log({**values, **rate}, step=step)
