"""Checkpoints: a run written to disk whole, and read back exactly, or not at all.

A checkpoint is a plain dictionary of tensors, numbers and text, loaded with ``weights_only=True``, so a file can never
run code. Not here: when to stop, or what else stands in a run folder (`mlkit.tracking`).
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mlkit.engine.ema import averaged_copy
from mlkit.engine.state import TrainState
from mlkit.errors import CheckpointError
from mlkit.runtime.files import write_atomic

FORMAT = 1
_KEPT = ("step", "epoch", "batch", "examples", "seconds", "history", "best", "best_step", "extra")


def snapshot(state: TrainState, *, rng: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The state as a plain dictionary; tensors are not copied."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "state": {name: getattr(state, name) for name in _KEPT},
        "about": state.about,
    }
    if state.averaged is not None:
        content["averaged"] = state.averaged.state_dict()
    if rng is not None:
        content["rng"] = dict(rng)
    return content


def save(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write ``content`` atomically, with a digest of its tensors; the file it replaces stays as ``previous.pt``.

    Raises:
        CheckpointError: the folder cannot be written or the disk is full; the older file is untouched.
    """
    path = Path(path)
    whole = {**content, "digest": digest(content)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "last.pt" and path.exists():
            _keep_previous(path)
        write_atomic(path, lambda file: torch.save(whole, file))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            "the checkpoint could not be written",
            received=f"{path}: {_why_unwritten(path, error)}",
            todo="make room or choose another folder; the checkpoint before this one is untouched",
        ) from error


def _why_unwritten(path: Path, error: OSError | RuntimeError) -> str:
    """The system's reason; torch's writer has none of use, and what it stumbles over is a full disk."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"writing stopped, with {shutil.disk_usage(path.parent).free // 1024:,} KiB free on the disk"


def _keep_previous(path: Path) -> None:
    link = path.with_name(".previous.tmp")
    link.unlink(missing_ok=True)
    os.link(path, link)
    os.replace(link, path.with_name("previous.pt"))


def load(path: Path | str) -> dict[str, Any]:
    """Read one checkpoint and verify it.

    Raises:
        CheckpointError: the file is missing, cut short, altered, or holds anything but plain values.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # torch warns of foreign files before it refuses them; the error says enough
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError("there is no checkpoint", received=str(path)) from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the checkpoint holds something other than numbers and text, and was not loaded",
            received=f"{path}: {_forbidden(error)}",
            allowed="a checkpoint written by mlkit, or a plain dictionary of tensors",
            todo="do not use files from sources that you do not trust",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            "the checkpoint is damaged", received=f"{path}: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from None
    if not isinstance(content, dict) or "model" not in content:
        raise CheckpointError(
            "not a checkpoint of mlkit", received=str(path), allowed="a dictionary with the weights under 'model'"
        )
    if "digest" in content and content.pop("digest") != digest(content):
        raise CheckpointError("the checkpoint is damaged", received=f"{path}: its content does not match its digest")
    return content


def _forbidden(error: pickle.UnpicklingError) -> str:
    """What of Python the file asks for, from torch's own message."""
    found = re.search(r"GLOBAL (\S+)|class (\S+)", str(error))
    return "not plain values" if found is None else f"asks for {(found[1] or found[2]).rstrip('.')}"


def load_newest(folder: Path | str) -> tuple[dict[str, Any], Path, str | None]:
    """The newest checkpoint of ``folder`` that is whole.

    Returns:
        Its content, its path, and what was wrong with a newer one that had to be passed over (None: nothing).

    Raises:
        CheckpointError: there is none that is whole.
    """
    folder = Path(folder)
    passed_over: list[CheckpointError] = []
    for name in ("last.pt", "previous.pt"):
        try:
            content = load(folder / name)
        except CheckpointError as error:
            passed_over.append(error)
            continue
        why = str(passed_over[0]) if passed_over else None
        return content, folder / name, why
    raise CheckpointError(
        "no whole checkpoint to resume from",
        received="; ".join(f"{error.problems[0].what} ({error.problems[0].received})" for error in passed_over),
        todo="start again without resume=",
    )


def restore(state: TrainState, content: Mapping[str, Any]) -> None:
    """Put ``content`` into ``state`` in place.

    Raises:
        CheckpointError: the weights belong to another model; the message names what differs.
    """
    _check_same_architecture(state.model, content["model"])
    state.model.load_state_dict(content["model"])
    if "averaged" in content:
        state.averaged = state.averaged or averaged_copy(state.model)
        state.averaged.load_state_dict(content["averaged"])
    if "optimizer" in content:
        state.optimizer.load_state_dict(content["optimizer"])
    for name, value in content.get("state", {}).items():
        if name in _KEPT:
            setattr(state, name, value)


def _check_same_architecture(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    own = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    other = {name: tuple(value.shape) for name, value in weights.items()}
    missing, unknown = sorted(own.keys() - other.keys()), sorted(other.keys() - own.keys())
    reshaped = [f"{n} {list(other[n])} (here {list(own[n])})" for n in own if n in other and own[n] != other[n]]
    if not (missing or unknown or reshaped):
        return
    parts = [
        f"{title}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for title, names in (("not in it", missing), ("only in it", unknown), ("other shape", reshaped))
        if names
    ]
    raise CheckpointError(
        "the checkpoint belongs to another model",
        received="; ".join(parts),
        allowed=f"weights of {type(model).__name__} with the same names and shapes",
        todo="resume with the model settings of the run that wrote it",
    )


def digest(content: object) -> str:
    """Hash of every tensor, number and text in ``content``, so that a damaged file is noticed."""
    hasher = hashlib.blake2b(digest_size=16)
    _feed(hasher, content)
    return hasher.hexdigest()


def _feed(hasher: Any, value: object) -> None:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous()
        hasher.update(f"{flat.dtype}{tuple(flat.shape)}".encode())
        hasher.update(flat.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            hasher.update(f"{key!r}:".encode())
            _feed(hasher, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(hasher, item)
    else:
        hasher.update(f"{value!r};".encode())


@dataclass
class Checkpoints:
    """Writes ``last.pt`` after every epoch and every ``every_seconds`` in between, and ``best.pt`` when told.

    Args:
        folder: the ``checkpoints`` folder of the run.
        capture_rng: gives the state of the random streams, which a resume puts back.
        every_seconds: time between checkpoints inside a long epoch.
    """

    folder: Path
    capture_rng: Callable[[], Mapping[str, Any]]
    every_seconds: float = 60.0
    _saved_at: float = field(default_factory=time.monotonic)

    def after_step(self, state: TrainState) -> None:
        """Save when the last checkpoint is ``every_seconds`` old."""
        if time.monotonic() - self._saved_at >= self.every_seconds:
            self.save(state)

    def after_epoch(self, state: TrainState) -> None:
        """Save; and as ``best.pt`` too when this evaluation was the best."""
        self.save(state)
        if state.best_step == state.step:
            best = {"format": FORMAT, "model": state.eval_model.state_dict(), "step": state.step, "value": state.best}
            save(self.folder / "best.pt", {**best, "about": state.about})

    def save(self, state: TrainState) -> None:
        """Write ``last.pt`` now."""
        save(self.folder / "last.pt", snapshot(state, rng=self.capture_rng()))
        self._saved_at = time.monotonic()
