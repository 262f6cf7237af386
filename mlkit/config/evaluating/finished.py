"""A finished run read back: its settings, its data and the model that was judged.

Not here: training (`mlkit.config.job`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mlkit.config import build
from mlkit.config.resume import resumed_config
from mlkit.config.schema import Config
from mlkit.data.bundle import DataBundle
from mlkit.errors import CheckpointError, ConfigError


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Args:
        folder: where it stands.
        config: its settings.
        data: its data, read again.
        model: with the weights that were judged.
    """

    folder: Path
    config: Config
    data: DataBundle
    model: nn.Module


def finished_run(folder: Path | str) -> Finished:
    """Read a run back.

    Raises:
        ConfigError: it is not the folder of a run.
        CheckpointError: its weights are not there, do not fit, or its data have changed.
    """
    place = Path(folder).expanduser().absolute()
    config, problems = resumed_config(place, {})
    if problems:
        raise ConfigError(problems)
    data = build.make_data(config)
    _check_same_data(place, data)
    model = build.make_model(config, data.task)
    _load(model, place / "model.safetensors")
    return Finished(place, config, data, model)


def _load(model: nn.Module, file: Path) -> None:
    from safetensors.torch import load

    try:
        weights = load(file.read_bytes())
        model.load_state_dict(weights)
    except FileNotFoundError:
        raise CheckpointError(
            "the run has no weights to evaluate",
            received=str(file),
            allowed="a run that came to its end",
            todo=f"finish it: python -m mlkit.train resume={file.parent}",
        ) from None
    except Exception as error:  # what safetensors raises for a damaged file is its own
        raise CheckpointError(
            "the weights of the run cannot be read", received=f"{file}: {str(error).splitlines()[0]}"
        ) from error


def _check_same_data(place: Path, data: DataBundle) -> None:
    try:
        about: dict[str, Any] = json.loads((place / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    before = about.get("data", {}).get("fingerprint")
    if before and data.fingerprint and before != data.fingerprint:
        raise CheckpointError(
            "the data are not those that the run was trained on",
            received=f"fingerprint {data.fingerprint}",
            allowed=f"fingerprint {before}, as in run.json",
            todo="put the data back as they were, or train a new run",
        )
