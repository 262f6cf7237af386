"""A search from settings: data, space, rounds and result, and a folder that explains itself.

Not here: the command line (`mlkit.config.searching.command`).
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlkit.config import build
from mlkit.config.check import checked_config
from mlkit.config.run_folder import shown
from mlkit.config.schema import Config
from mlkit.config.searching.executor import ConfigExecutor, refuse_what_runs_alone
from mlkit.config.searching.settings import SearchSettings
from mlkit.config.searching.spaces import config_of, overrides_of, space_of
from mlkit.engine.stopping import parse_duration
from mlkit.errors import ConfigError
from mlkit.metrics.objectives import direction
from mlkit.models.auto import choose
from mlkit.runtime.files import write_json, write_text
from mlkit.runtime.hardware import describe
from mlkit.search.driver import run
from mlkit.search.halving import Fidelity
from mlkit.search.result import Round, SearchResult
from mlkit.search.space import Space
from mlkit.task import Task


@dataclass(frozen=True)
class Searched:
    """What came of a search over settings.

    Args:
        folder: where it is kept.
        config: the settings that were not searched.
        space: what was searched.
        result: trials, rounds, the tie set.
        epochs: trained by all configurations together, in this process.
        backends: configurations by how they were trained.
    """

    folder: Path
    config: Config
    space: Space
    result: SearchResult
    epochs: int
    backends: dict[str, int]

    @property
    def best(self) -> Config:
        """The settings of the best."""
        return config_of(self.config, self.result.params)

    def overrides(self) -> list[str]:
        """What of the best differs, as it is written on a command line."""
        return overrides_of(self.config, self.result.params)


def search(
    config: Config,
    settings: SearchSettings,
    *,
    folder: Path | str,
    command: Sequence[str] | None = None,
    on_start: Callable[[Config, Space, Path], object] | None = None,
    on_round: Callable[[Round], object] | None = None,
) -> Searched:
    """Search over the settings of a run.

    Args:
        config: of a run; what is not in the space stays as it is. ``seed`` is also the search's.
        settings: of the search.
        folder: keeps the ledger, from which the same call goes on after a kill, and the result.
        command: how it was started, for the record.
        on_start: told what is searched, before the first round.
        on_round: told of every round.

    Raises:
        ConfigError: settings that cannot be right.
        TrainingError: all of the first configurations failed.
    """
    refuse_what_runs_alone(config)
    way = direction(settings.metric.partition("/")[2])
    place = Path(folder).expanduser().absolute()
    started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    data = build.make_data(config)
    config = _settled(config, data.task)
    space = space_of(config, str(config.model.name), settings.space)
    executor = ConfigExecutor(config, data, metric=settings.metric, backend=settings.backend)
    longest = config.trainer.max_epochs
    assert longest is not None
    place.mkdir(parents=True, exist_ok=True)
    if on_start is not None:
        on_start(config, space, place)
    result = run(
        executor,
        space,
        method=settings.method,
        budget=settings.budget,
        seed=config.seed,
        fidelity=Fidelity(longest) if settings.halving and longest >= 3 else Fidelity(longest, first=longest),
        direction=way,
        rounds=settings.rounds,
        finalists=settings.finalists,
        seeds=settings.seeds,
        folder=place / "ledger",
        on_round=on_round,
        time_limit=None if settings.time is None else parse_duration(settings.time),
    )
    found = Searched(place, config, space, result, executor.epochs, executor.backends)
    about = {
        "command": list(command if command is not None else sys.argv),
        "started": started,
        "working_directory": os.getcwd(),
        "settings": config.to_dict(),
        "search": dataclasses.asdict(settings),
        "data": {"name": data.name, "fingerprint": data.fingerprint},
        **describe(folder=Path.cwd()),
    }
    write_json(place / "search.json", {**about, "result": result.to_dict(), "train": found.overrides()})
    _write_best(found)
    return found


def _settled(config: Config, task: Task) -> Config:
    """``model=auto`` replaced by the model that it chooses, so that its settings can be searched."""
    if config.model.name != "auto":
        return config
    return checked_config({**config.to_dict(), "model": {"name": choose(task)}})


def _write_best(found: Searched) -> None:
    import yaml

    text = yaml.safe_dump(found.best.to_dict(), sort_keys=False, allow_unicode=True)
    head = f"# The best of a search over {len(found.result.trials)} configurations, see search.json beside it.\n"
    write_text(found.folder / "best.yaml", head + text)


def claim(folder: Path) -> None:
    """Refuse a folder in which something other than a search stands.

    Raises:
        ConfigError: it belongs to a run.
    """
    if (folder / "config.yaml").exists():
        raise ConfigError(
            "the folder belongs to a run",
            received=shown(folder),
            allowed="a new folder, or that of a search to go on with",
            todo="take another hydra.run.dir",
        )
