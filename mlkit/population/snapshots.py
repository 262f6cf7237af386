"""A population on disk: one snapshot that is whole or absent, and the members' results as lines.

``members.jsonl`` has one line a member, in the order given; ``population.pt`` is what a resume goes on from, plain
tensors, numbers and text, loaded with ``weights_only=True``. Not here: single runs (`mlkit.engine.checkpoint`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from mlkit.engine import checkpoint
from mlkit.errors import CheckpointError, ConfigError
from mlkit.population.cohort import Choice, Cohort
from mlkit.population.record import Record
from mlkit.population.run import Run
from mlkit.runtime.files import plain, write_text

FORMAT = 1
SNAPSHOT = "population.pt"
LINES = "members.jsonl"


def write(
    folder: Path, cohorts: Sequence[Cohort], *, about: Mapping[str, Any], rungs: Sequence[Mapping[str, Any]]
) -> None:
    """Write everything that a resume needs.

    Raises:
        CheckpointError: the folder cannot be written or the disk is full; the older snapshot is untouched.
    """
    models: dict[str, Any] = {}
    parts = []
    for cohort in cohorts:
        exports = {run.index: export for run, export in zip(cohort.active, cohort.exports(), strict=False)}
        parts.append(_cohort(cohort, exports))
        for run in cohort.all:
            # Of a member that has not begun nothing is kept: it is made anew.
            if run.index in exports or not run.is_active:
                export = exports.get(run.index)
                models[str(run.index)] = run.model.state_dict() if export is None else export["model"]
    content = {
        "format": FORMAT,
        "model": models,
        "records": {str(run.index): run.record.to_dict() for cohort in cohorts for run in cohort.all},
        "cohorts": parts,
        "about": plain(dict(about)),
        "rungs": [dict(rung) for rung in rungs],
    }
    checkpoint.save(folder / SNAPSHOT, content)
    write_lines(folder, [run for cohort in cohorts for run in cohort.all])


def write_lines(folder: Path, runs: Sequence[Run]) -> None:
    """One line a member: its settings, how it stands and its metrics."""
    lines = []
    for run in sorted(runs, key=lambda run: run.index):
        record = run.record.to_dict()
        del record["history"]
        lines.append(json.dumps(plain({"index": run.index, **record, "member": run.member.describe()})))
    write_text(folder / LINES, "\n".join(lines) + "\n")


def read(folder: Path, *, about: Mapping[str, Any]) -> dict[str, Any] | None:
    """The snapshot of ``folder``; None: there is none yet, as when the run was ended before its first.

    Raises:
        CheckpointError: it is damaged, or of another population; says what differs.
    """
    if not (folder / SNAPSHOT).exists():
        return None
    content = checkpoint.load(folder / SNAPSHOT)
    if content.get("format") != FORMAT:
        raise CheckpointError("a snapshot of another format", received=content.get("format"), allowed=FORMAT)
    before, now = content["about"], cast("dict[str, Any]", plain(dict(about)))
    differing = [name for name in now if before.get(name) != now[name]]
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"the population to resume had other {name}",
            received=_short(_difference(before.get(name), now[name])[1]),
            allowed=_short(_difference(before.get(name), now[name])[0]),
            todo="resume with the same members, data and settings, or choose another folder",
        )
    return content


def restore(
    content: Mapping[str, Any], runs: Sequence[Run], make: Callable[[Sequence[Run], Choice], Cohort]
) -> list[Cohort]:
    """The cohorts of a snapshot.

    Args:
        content: what `read` gave.
        runs: fresh ones, in the order of the members.
        make: makes a cohort of runs and a choice.
    """
    for run in runs:
        run.record = Record.from_dict(content["records"][str(run.index)])
        if not run.is_active and run.record.status != "failed":
            run.model.load_state_dict(content["model"][str(run.index)])
    cohorts = []
    for each in content["cohorts"]:
        choice = Choice(
            each["backend"], each["reason"], each["seconds"], each["workers"], each["kernels"], each["is_wish"]
        )
        cohort = make([runs[index] for index in each["members"]], choice)
        if each["exports"]:
            indices = [str(run.index) for run in cohort.active]
            cohort.resume([{"model": content["model"][index], **each["exports"][index]} for index in indices])
        cohorts.append(cohort)
    return cohorts


def prepare(folder: Path | str | None, *, resume: bool) -> Path | None:
    """The folder, ready to be written to; an old snapshot goes unless it is to be resumed.

    Raises:
        ConfigError: ``resume`` without a folder.
    """
    if folder is None:
        if resume:
            raise ConfigError("resume needs the folder of the population", received="folder=None", todo="pass folder=")
        return None
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    if not resume:
        (path / SNAPSHOT).unlink(missing_ok=True)
    return path


def _cohort(cohort: Cohort, exports: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    choice = cohort.choice
    return {
        "members": [run.index for run in cohort.all],
        "backend": choice.backend,
        "reason": choice.reason,
        "seconds": dict(choice.seconds),
        "workers": choice.workers,
        "kernels": dict(choice.kernels),
        "is_wish": choice.is_wish,
        "exports": {
            str(index): {name: value for name, value in export.items() if name != "model"}
            for index, export in exports.items()
        },
    }


def _difference(before: Any, now: Any) -> tuple[Any, Any]:
    """Where two lists of members differ, the first two that do."""
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            if one != other and isinstance(one, dict) and isinstance(other, dict):
                names = [name for name in other if one.get(name) != other[name]]
                return tuple(  # type: ignore[return-value]
                    f"member {number} with " + ", ".join(f"{name}={each.get(name)}" for name in names)
                    for each in (one, other)
                )
    if isinstance(before, list) and isinstance(now, list):
        return f"{len(before)} members", f"{len(now)} members"
    return before, now


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
