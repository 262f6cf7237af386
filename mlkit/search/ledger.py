"""The ledger: everything a search decided and measured, one JSON line each, only ever appended to.

A search that is killed and started again with the same ledger takes what stands there and goes on; the file ends up
byte for byte as if it had never stopped, so it holds no times. Not here: the study that dashboards read
(`mlkit.search.optuna_study`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlkit.errors import ConfigError, DataError
from mlkit.search.space import Params
from mlkit.search.trials import Job, Outcome

FORMAT = 1
NAME = "search.jsonl"


class Ledger:
    """Lines of a search, in memory or in a file.

    Args:
        folder: where ``search.jsonl`` stands or will stand; None keeps everything in memory.
        header: what identifies the search (space, method, budget, seed …); a file of another search is refused.

    Raises:
        ConfigError: the folder holds another search.
        DataError: a line in the middle of the file cannot be read.
    """

    def __init__(self, folder: Path | str | None, header: Mapping[str, object]) -> None:
        self.path = None if folder is None else Path(folder) / NAME
        self._rounds: dict[int, dict[str, Any]] = {}
        self._outcomes: dict[tuple[int, float | None, int], Outcome] = {}
        first = {"kind": "search", "format": FORMAT, **header}
        lines = [] if self.path is None else read_lines(self.path)
        if lines:
            _refuse_another(lines[0], json.loads(json.dumps(first)), self.path)
            for line in lines[1:]:
                self._take(line)
        elif self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._append(first)

    @property
    def resumed(self) -> int:
        """Number of outcomes that are known."""
        return len(self._outcomes)

    def round(self, number: int) -> dict[str, Any] | None:
        """What was decided for a round; None if it has not come to that."""
        return self._rounds.get(number)

    def add_round(self, number: int, params: Sequence[Params], space: Mapping[str, str], first: int) -> dict[str, Any]:
        """Write down a round before any of its trials runs."""
        line = {"kind": "round", "round": number, "first": first, "space": dict(space), "params": list(params)}
        self._append(line)
        self._take(line)
        return line

    def outcome(self, job: Job) -> Outcome | None:
        """What is known of a job."""
        return self._outcomes.get((job.trial, job.fidelity, job.seed))

    def add(self, outcome: Outcome) -> None:
        """Write down an outcome."""
        job = outcome.job
        line: dict[str, Any] = {"kind": "outcome", "trial": job.trial, "seed": job.seed, "score": outcome.score}
        if job.fidelity is not None:
            line["fidelity"] = job.fidelity
        if outcome.reason is not None:
            line["reason"] = outcome.reason
        if outcome.metrics:
            line["metrics"] = {name: value if math.isfinite(value) else None for name, value in outcome.metrics.items()}
        if outcome.curve:
            line["curve"] = [list(point) for point in outcome.curve]
        self._append(line)
        self._outcomes[job.trial, job.fidelity, job.seed] = outcome

    def _take(self, line: dict[str, Any]) -> None:
        if line["kind"] == "round":
            self._rounds[line["round"]] = line
        elif line["kind"] == "outcome":
            params = self._params(line["trial"])
            job = Job(line["trial"], params, line.get("fidelity"), line["seed"])
            metrics = {n: math.nan if value is None else value for n, value in line.get("metrics", {}).items()}
            curve = tuple((point[0], point[1]) for point in line.get("curve", ()))
            outcome = Outcome(job, line["score"], line.get("reason"), metrics, curve)
            self._outcomes[job.trial, job.fidelity, job.seed] = outcome

    def _params(self, trial: int) -> Params:
        for line in self._rounds.values():
            if 0 <= trial - line["first"] < len(line["params"]):
                found: Params = line["params"][trial - line["first"]]
                return found
        raise DataError("an outcome of a trial that was never proposed", received=f"trial {trial} in {self.path}")

    def _append(self, line: Mapping[str, object]) -> None:
        if self.path is None:
            return
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a ledger; a last one that was cut short by a kill is removed from the file.

    Raises:
        DataError: another line cannot be read.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    lines = []
    for number, raw in enumerate(whole.splitlines(), start=1):
        try:
            line = json.loads(raw)
        except (ValueError, UnicodeDecodeError):
            line = None
        if not isinstance(line, dict) or "kind" not in line:
            raise DataError(
                "the ledger of the search is damaged",
                received=f"{path}, line {number}",
                todo="restore the file, or remove this line and all below it: what they held is done again",
            )
        lines.append(line)
    return lines


def _refuse_another(found: Mapping[str, object], wanted: Mapping[str, object], path: Path | None) -> None:
    differ = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
    if differ:
        raise ConfigError(
            "the folder holds another search",
            received="; ".join(f"{name}: {wanted.get(name)!r}, there {found.get(name)!r}" for name in differ),
            allowed="the same space, method, budget, seed and settings, to go on with it",
            todo=f"choose another folder, or remove {path}",
        )
