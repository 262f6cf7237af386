"""The run folder: what stands in it, and that no two runs ever share one.

    config.yaml          the settings, resolved
    run.json             command, versions, hardware, commit, data fingerprint, speed; one entry more for each resume
    metrics.jsonl        every evaluation, one object a line
    result.json          how the run ended, with the metrics of every split and their intervals
    curves.png           loss and main metric over the epochs
    model.safetensors    the weights that were judged
    checkpoints/         last.pt and best.pt, and previous.pt in case last.pt is damaged
    events.out.tfevents… curves for TensorBoard

Not here: what is written when (`mlkit.config.job`).
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlkit.errors import CheckpointError, ConfigError, MlkitError
from mlkit.runtime.files import write_atomic, write_json, write_text

if TYPE_CHECKING:
    from torch import nn

    from mlkit.config.schema import Config

_CONFIG, _LOCK = "config.yaml", ".lock"


def default_folder(name: str) -> Path:
    """``outputs/DATE/TIME-NAME``, the time with microseconds."""
    now = datetime.datetime.now()
    return Path("outputs") / now.strftime("%Y-%m-%d") / f"{now.strftime('%H-%M-%S-%f')}-{name}"


def claim(folder: Path | str, config: Config) -> Path:
    """Make ``folder`` this run's own, by being the one that creates its ``config.yaml``.

    Raises:
        ConfigError: it belongs to another run already, or cannot be written.
    """
    folder = Path(folder).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / _CONFIG, "x", encoding="utf-8") as file:
            file.write(_as_yaml(config))
    except FileExistsError:
        raise ConfigError(
            "the run folder belongs to another run",
            received=str(folder),
            allowed="a folder without a config.yaml",
            todo=f"take another folder, or continue that run: resume={folder}",
        ) from None
    except OSError as error:
        raise unwritable(folder, error) from None
    return folder


def unwritable(folder: Path | str, error: OSError) -> ConfigError:
    """The error for a folder that cannot be made or written to."""
    return ConfigError(
        "the run folder cannot be written",
        received=f"{folder}: {error.strerror or error}",
        allowed="a folder that you may write to, on a disk with room",
        todo="choose another one: hydra.run.dir=FOLDER",
    )


def read_config(folder: Path | str) -> dict[str, Any]:
    """The settings of the run in ``folder``, as plain values.

    Raises:
        ConfigError: it is not the folder of a run.
    """
    folder = Path(folder).expanduser()
    file = folder / _CONFIG
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            "there is no run to resume",
            received=f"resume={folder}" + ("" if folder.is_dir() else ", which does not exist"),
            allowed="a run folder, in which there is a config.yaml",
            todo=_nearby(folder),
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            "the settings of the run cannot be read", received=f"{file}: {str(error).splitlines()[0]}"
        ) from None
    if not isinstance(values, dict) or "model" not in values:
        raise ConfigError("the settings of the run are not whole", received=str(file), todo="start a new run")
    return values


def write_config(folder: Path, config: Config) -> None:
    """Replace the settings, as a resume with other limits does."""
    write_text(folder / _CONFIG, _as_yaml(config))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` while a run writes to it; the lock goes with the process, however that ends.

    Raises:
        CheckpointError: another process is writing to it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows; there two resumes of one folder are not noticed
        yield
        return
    with open(folder / _LOCK, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CheckpointError(
                "another process is training in this folder",
                received=str(folder),
                todo="wait for it, or stop it first",
            ) from None
        try:
            yield
        finally:
            (folder / _LOCK).unlink(missing_ok=True)


def has_checkpoint(folder: Path) -> bool:
    """Whether anything was saved yet, whole or not."""
    return any((folder / "checkpoints" / name).exists() for name in ("last.pt", "previous.pt"))


def write_run(folder: Path, about: Mapping[str, Any], *, resumed: bool) -> None:
    """Write ``run.json``; a resume adds an entry and keeps what the first start wrote."""
    import json

    file = folder / "run.json"
    if resumed:
        try:
            first = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            first = {}
        about = {**first, "resumes": [*first.get("resumes", []), about]} if first else about
    write_json(file, about)


def export_weights(folder: Path, model: nn.Module, metadata: Mapping[str, str]) -> Path:
    """Write the weights as ``model.safetensors``, names as in ``model.state_dict()``.

    Raises:
        CheckpointError: they cannot be written.
    """
    from safetensors.torch import save

    file = folder / "model.safetensors"
    # Copies, since safetensors refuses tensors that share memory, as tied weights do.
    weights = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    try:
        content = save(weights, metadata=dict(metadata))
        write_atomic(file, lambda stream: stream.write(content))
    except OSError as error:
        raise CheckpointError(
            "the weights could not be exported", received=f"{file}: {error}", todo="they are in checkpoints/last.pt"
        ) from error
    return file


def shown(folder: Path) -> str:
    """The folder as one would type it: relative to the working directory where it lies below."""
    try:
        relative = folder.relative_to(Path.cwd())
    except ValueError:
        return str(folder)
    return os.fspath(relative)


def error_entry(error: BaseException) -> dict[str, Any]:
    """An error for ``result.json``: its kind, its text, and the parts of it where it is one of ours."""
    entry: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, MlkitError):
        entry["problems"] = [vars(problem) for problem in error.problems]
    return entry


def _as_yaml(config: Config) -> str:
    text: str = yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)
    return text


def _nearby(folder: Path) -> str:
    """The newest run beside or below ``folder``, as a hint."""
    runs = sorted(folder.glob("*/config.yaml")) or sorted(folder.parent.glob("*/config.yaml"))
    if not runs:
        return "the last line that a run prints is its folder"
    newest = max(runs, key=lambda file: file.stat().st_mtime).parent
    return f"did you mean resume={newest}?"
