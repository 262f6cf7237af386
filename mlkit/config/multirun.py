"""Several runs from one command line: every job is checked before the first one starts, and one that fails is a row.

Not here: a single run (`mlkit.config.job`); which jobs there are and where they run is Hydra's to decide, by its
sweeper and launcher.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from omegaconf import DictConfig, OmegaConf

from mlkit.config.check import checked_config
from mlkit.config.command import report_error
from mlkit.config.compose import jobs_of
from mlkit.config.show import last_line, say
from mlkit.errors import ConfigError, MlkitError, Problem

if TYPE_CHECKING:
    from mlkit.config.compose import Composer

_ENDED_WELL = ("completed", "stopped")


def run_all(session: Composer, overrides: Sequence[str]) -> int:
    """Run every combination; returns 1 when one of them failed.

    Raises:
        ConfigError: mistakes in any of the jobs, each told once, before anything has run.
    """
    parsed, problems = session.parse(overrides)
    for job in jobs_of(parsed):
        composed, found = session.compose(job)
        problems += [problem for problem in found if problem not in problems]
        if composed is not None and composed.config.resume is not None and not problems:
            problems.append(
                Problem(
                    "a run cannot be resumed several times at once",
                    received=" ".join(overrides),
                    allowed="resume=FOLDER without -m",
                    todo="leave -m out",
                )
            )
    if problems:
        raise ConfigError(problems)
    folder, returns = session.multirun(parsed, train_job)
    rows = [_row(job) for job in returns]
    if rows:
        _table(rows)
    last_line(folder)
    return 0 if all(row["status"] in _ENDED_WELL for row in rows) else 1


def train_job(settings: DictConfig) -> float:
    """One job of a sweep, in this process or wherever a launcher has put it.

    Returns:
        The watched metric (``trainer.monitor``, else val/loss) of the final evaluation, which Hydra's optimising
        sweepers read; NaN when the run failed, so that the others go on.
    """
    from mlkit.config.job import run

    values: Any = OmegaConf.to_container(settings, resolve=True)
    hydra = HydraConfig.get()
    values["experiment"] = hydra.runtime.choices.get("experiment")
    say(f"\njob {hydra.job.num}: {', '.join(hydra.overrides.task) or 'defaults'}")
    try:
        config = checked_config(values)
        result = run(config, folder=hydra.runtime.output_dir)
    except MlkitError as error:
        report_error(error)
        return math.nan
    if result.status == "interrupted":
        raise KeyboardInterrupt
    split, _, metric = (config.trainer.monitor or "val/loss").partition("/")
    estimate = result.metrics.get(split, {}).get(metric)
    return math.nan if estimate is None else estimate.value


def _row(job: JobReturn) -> dict[str, Any]:
    """What came of a job, from its folder, since it may have run anywhere."""
    assert job.hydra_cfg is not None
    folder, overrides = Path(job.hydra_cfg.hydra.runtime.output_dir), list(job.overrides or [])
    row: dict[str, Any] = {"job": folder.name, "overrides": overrides, "status": "failed", "splits": {}}
    try:
        return {**row, **json.loads((folder / "result.json").read_text(encoding="utf-8"))}
    except (OSError, ValueError) as error:
        warnings.warn(f"no result of job {folder.name}: {error}", stacklevel=2)
        return row


def _table(rows: list[dict[str, Any]]) -> None:
    """A line a job: how it ended, and its metrics on ``val``."""
    said = [set(row["overrides"]) for row in rows]
    everywhere = set.intersection(*said) if len(rows) > 1 else set()
    names = list(dict.fromkeys(name for row in rows for name in row["splits"].get("val", {})))
    cells = [["job", "status", *(f"val {name}" for name in names), "settings"]]
    for row in rows:
        val = row["splits"].get("val", {})
        cells.append(
            [row["job"], row["status"], *(_shown(val.get(name)) for name in names), _differing(row, everywhere)]
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]) - 1)]
    say("")
    for line in cells:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip())
    say("")


def _differing(row: dict[str, Any], everywhere: set[str]) -> str:
    """The settings of a job, without those that all jobs have."""
    return ", ".join(line for line in row["overrides"] if line not in everywhere)


def _shown(estimate: dict[str, Any] | None) -> str:
    if estimate is None or estimate.get("value") is None:
        return "-"
    if estimate.get("low") is None:
        return f"{estimate['value']:.4g}"
    return f"{estimate['value']:.4g} [{estimate['low']:.4g}, {estimate['high']:.4g}]"
