"""The smaller tools of `python -m mlkit.debug`: ``known``, ``baselines`` and ``lr``.

Not here: the three steps of debugging itself (`mlkit.config.debugging.job`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlkit.config.run_folder import shown
from mlkit.errors import ConfigError
from mlkit.runtime.files import write_json

if TYPE_CHECKING:
    from mlkit.config.schema import Config

TOOLS = {
    "known": "run=FOLDER: a finished run beside what is published of its data set",
    "baselines": "run=FOLDER: a finished run beside simple predictors, fitted on the same splits",
    "lr": "model=… data=…: the learning rate to begin with, by a range test",
}


def known(run: str | None) -> tuple[str, int]:
    """What is published beside a run; ``known.json`` is written beside its results."""
    from mlkit.evaluate.known import compare

    folder = _folder(run, "known")
    found = compare(folder)
    write_json(folder / "known.json", found.to_dict())
    return str(found), 0


def baselines(run: str | None) -> tuple[str, int]:
    """Simple predictors beside a run, on ``test`` where there is one; ``baselines.json`` is written beside its results.

    The code is 1 where the model is no better than a constant answer.
    """
    from mlkit.config.evaluating.finished import finished_run
    from mlkit.evaluate.baselines import simple_baselines

    finished = finished_run(_folder(run, "baselines"))
    split = "val" if finished.data.test is None else "test"
    found = simple_baselines(finished.data, finished.model, split=split, seed=finished.config.seed)  # type: ignore[arg-type]
    write_json(finished.folder / "baselines.json", found.to_dict())
    return str(found), int(found.verdict == "not learning")


def range_test(config: Config, folder: Path) -> tuple[str, int]:
    """A range test of a run's settings; ``range_test.json`` and ``range_test.png`` are written."""
    from mlkit.config import build
    from mlkit.debug.range_test import lr_range_test
    from mlkit.metrics.losses import loss_for

    data = build.make_data(config)
    model = build.make_model(config, data.task)

    def optimizer(twin: Any) -> Any:
        return build.make_optimizer(config, twin)

    loss_fn = loss_for(data.task, label_smoothing=config.trainer.label_smoothing)
    size = config.trainer.batch_size
    found = lr_range_test(model, data, loss_fn, optimizer, batch_size=size, seed=config.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "range_test.json", found.to_dict())
    found.figure().savefig(folder / "range_test.png", facecolor="white")
    lines = [str(found), ""]
    if found.suggestion is not None:
        lines.append(f"as a setting: optimizer.lr={found.suggestion:.2g}")
    return "\n".join([*lines, f"picture: {shown(folder / 'range_test.png')}"]), 0


def _folder(run: str | None, tool: str) -> Path:
    if run is None:
        raise ConfigError(
            f"{tool} needs the folder of a run", todo=f"for example python -m mlkit.debug {tool} run=outputs/…"
        )
    return Path(run).expanduser().absolute()
