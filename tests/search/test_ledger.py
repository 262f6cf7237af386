from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlkit.search as search
from mlkit.errors import ConfigError, DataError
from mlkit.search.ledger import NAME, Ledger, read_lines
from mlkit.search.trials import Job, Outcome

# A search with everything in it: rungs, an audit, failures, ranges that grow, states, finals.
PROGRAM = """
import math, os, signal, sys
import mlkit.search as search

calls = 0

def objective(params, fidelity, seed, state, report):
    global calls
    calls += 1
    if calls == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if params["lr"] > 0.3:
        raise RuntimeError("diverged")
    gap = math.log10(params["lr"] / 3e-4) ** 2 + 0.1 * (params["kind"] == "b")
    for epoch in range(state.get("epoch", 0) + 1, fidelity + 1):
        state["epoch"] = epoch
        state["loss"] = gap + 1 / epoch + 0.01 * math.sin(997 * seed + 31 * epoch + 100 * gap)
        report(epoch, state["loss"])
    return {"loss": state["loss"], "gap": gap}

def go(folder):
    space = {"lr": search.log(1e-3, 1.0, limits=(1e-6, 1.0)), "kind": search.choice("a", "b")}
    return search.coarse_to_fine(
        objective, space, budget=24, fidelity=9, score="loss", finalists=3, seeds=2, folder=folder
    )
"""


def _searched(folder: Path) -> search.SearchResult:
    scope: dict[str, object] = {"kill_at": 0}
    exec(PROGRAM, scope)
    result = scope["go"](folder)  # type: ignore[operator]
    assert isinstance(result, search.SearchResult)
    return result


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, search.SearchResult]:
    folder = tmp_path_factory.mktemp("whole")
    result = _searched(folder)
    assert any(trial.reason for trial in result.trials)
    assert any(edge.why is None for edge in result.edges)
    assert any(trial.audit for trial in result.trials)
    return (folder / NAME).read_bytes(), result


def _plain(result: search.SearchResult) -> dict[str, object]:
    return {**result.to_dict(), "seconds": None}


def test_killed_at_any_call_it_goes_on_to_the_same_bytes_and_winner(
    whole: tuple[bytes, search.SearchResult], tmp_path: Path
) -> None:
    # C24. One process that makes children, as loading takes longer than all the searches together.
    runner = """
import json
from pathlib import Path

root, points = Path(sys.argv[1]), json.loads(sys.argv[2])
import mlkit.search.driver, mlkit.search.surrogate, scipy.linalg, scipy.stats, scipy.special
for point in points:
    folder = root / str(point)
    signals = []
    for kill_at in (point, point // 2 + 1, 0):  # killed, started again, killed again, started again
        child = os.fork()
        if not child:
            result = go(folder)
            (folder / "best.json").write_text(json.dumps({**result.to_dict(), "seconds": None}))
            os._exit(0)
        signals.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert signals == [-signal.SIGKILL, -signal.SIGKILL, 0], (point, signals)
"""
    content, result = whole
    jobs = content.count(b'"kind": "outcome"')
    points = [1, 2, 9, 12, jobs // 2, jobs - 5, jobs - 1, jobs]
    # Started again it has fewer calls left than the second kill waits for, unless the first one came early.
    points = [point for point in points if jobs - point + 1 >= point // 2 + 1]
    assert len(points) >= 4
    program = PROGRAM + runner
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", program, str(tmp_path), json.dumps(points)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for point in points:
        assert (tmp_path / str(point) / NAME).read_bytes() == content
        assert json.loads((tmp_path / str(point) / "best.json").read_text()) == json.loads(json.dumps(_plain(result)))


def test_from_any_prefix_of_the_file_it_goes_on_to_the_same(
    whole: tuple[bytes, search.SearchResult], tmp_path: Path
) -> None:
    # A kill leaves some prefix of the bytes, whole lines or not.
    content, result = whole
    cuts = np.random.default_rng(0).integers(0, len(content), 12).tolist()
    ends = [index + 1 for index, byte in enumerate(content) if byte == ord("\n")]
    for cut in [*cuts, 0, 1, ends[0], ends[1], ends[1] - 1, ends[-1] - 1, ends[-1]]:
        path = tmp_path / str(cut) / NAME
        path.parent.mkdir()
        path.write_bytes(content[:cut])
        again = _searched(path.parent)
        assert path.read_bytes() == content
        assert _plain(again) == _plain(result)


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    calls = []

    def objective(params: dict[str, float]) -> float:
        calls.append(params)
        return params["x"] ** 2

    def go() -> search.SearchResult:
        return search.run(objective, {"x": search.uniform(-1.0, 1.0)}, budget=12, folder=tmp_path)

    first = go()
    assert len(calls) == 12
    assert go().ranked == first.ranked
    assert len(calls) == 12


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    header = {"space": {"x": "uniform(0, 1)"}, "budget": 3}
    ledger = Ledger(tmp_path, header)
    assert ledger.resumed == 0
    assert ledger.round(0) is None
    ledger.add_round(0, [{"x": 0.1}, {"x": 1 / 3}], {"x": "uniform(0, 1)"}, 0)
    ledger.add_round(1, [{"x": 0.7}], {"x": "uniform(0, 1.5)"}, 2)
    made = [
        Outcome(Job(0, {"x": 0.1}, 3, 0), 1 / 7, None, {"loss": 1 / 7, "β": 2.0}, ((1.0, 0.5), (3.0, 1 / 7))),
        Outcome(Job(0, {"x": 0.1}, 9, 0), 1e-300),
        Outcome(Job(1, {"x": 1 / 3}, 3, 0), None, "RuntimeError: the line — breaks"),
        Outcome(Job(2, {"x": 0.7}, None, 5), -0.0),
    ]
    for outcome in made:
        ledger.add(outcome)
    again = Ledger(tmp_path, header)
    assert again.resumed == 4
    for outcome in made:
        assert again.outcome(outcome.job) == outcome == ledger.outcome(outcome.job)
    assert again.outcome(Job(1, {"x": 1 / 3}, 9, 0)) is None
    assert again.outcome(Job(0, {"x": 0.1}, 3, 1)) is None
    assert again.round(1) == ledger.round(1)


def test_metrics_that_are_no_numbers_are_kept_as_such(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {})
    ledger.add_round(0, [{"x": 1}], {}, 0)
    job = Job(0, {"x": 1})
    ledger.add(Outcome(job, 1.0, None, {"loss": 1.0, "auc": math.nan}))
    assert "NaN" not in (tmp_path / NAME).read_text()
    found = Ledger(tmp_path, {}).outcome(job)
    assert found is not None
    assert found.metrics["loss"] == 1.0
    assert math.isnan(found.metrics["auc"])


def test_in_memory_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(None, {"budget": 1})
    ledger.add_round(0, [{"x": 1}], {}, 0)
    ledger.add(Outcome(Job(0, {"x": 1}), 2.0))
    assert ledger.outcome(Job(0, {"x": 1})) == Outcome(Job(0, {"x": 1}), 2.0)
    assert list(tmp_path.iterdir()) == []


def test_another_search_is_refused_and_left_alone(tmp_path: Path) -> None:
    Ledger(tmp_path, {"budget": 32, "seed": 0, "method": "random"})
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(ConfigError) as caught:
        Ledger(tmp_path, {"budget": 64, "seed": 0, "method": "halton"})
    for part in ("another search", "budget: 64, there 32", "method: 'halton', there 'random'", NAME, "another folder"):
        assert part in str(caught.value)
    assert "seed:" not in str(caught.value)
    assert (tmp_path / NAME).read_bytes() == before


def test_a_damaged_line_is_told_with_its_number(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, {})
    ledger.add_round(0, [{"x": 1}], {}, 0)
    path = tmp_path / NAME
    lines = path.read_bytes().splitlines(keepends=True)
    for wrong in (b"{broken\n", b"[1, 2]\n", b"\xff\xfe\n", b"\n"):
        path.write_bytes(lines[0] + wrong + lines[1])
        with pytest.raises(DataError, match="line 2"):
            read_lines(path)
    path.write_bytes(lines[0] + b'{"kind": "outcome", "trial": 3, "seed": 0, "score": 1.0}\n')
    with pytest.raises(DataError, match="trial 3"):
        Ledger(tmp_path, {})


def test_a_line_that_was_cut_short_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b'{"kind": "search"}\n{"kind": "rou')
    assert read_lines(path) == [{"kind": "search"}]
    assert path.read_bytes() == b'{"kind": "search"}\n'
    assert read_lines(tmp_path / "none.jsonl") == []
