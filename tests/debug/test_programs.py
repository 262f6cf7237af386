"""Whole programs under the doctor: a few of the corpus here, all of it in `benchmarks/doctor.py`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.debug.corpus import PROGRAMS, read
from tests.side_by_side import selected

ROOT = Path(__file__).parents[2]
BUGGY = [
    "o01_digits_cnn",
    "l05_friedman_regression",
    "l01_digits_cnn_trainer",
    "s03_activity_lstm",
    "m02_resnet_valid",
    "n01_triplet_digits",
    "d09_digit_residual",
    "g06_markov_attention",
    "o09_wine_argparse",
    "crash_cnn_flatten",
]
FRAMEWORKS = [
    "fw_lightning_manual",
    "fw_lightning_optimizer",
    "fw_skorch_classifier",
    "fw_ignite_evaluator",
    "fw_ignite_schedule",
]  # of the extra `trainers`; what is found with Hugging Face's stands in test_trainers.py
HEALTHY = ["h09_mc_dropout", "h10_infonce_views", "h13_gan_ring", "manual_sgd", "lstm_packed_sentences", "vae_digits"]


def _path(name: str) -> Path:
    return next(PROGRAMS.rglob(f"{name}.py"))


WATCHED = ["-m", "mlkit.watch", "--json", "report.json"]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Runs]]:
    """All programs that the selected tests need, two at a time: each is a process with one thread."""
    found: dict[str, Runs] = {}
    with ThreadPoolExecutor(2) as pool:
        for name in selected(request, "name"):
            program, folder = read(_path(name)), tmp_path_factory.mktemp(name)
            if any(importlib.util.find_spec(package) is None for package in program.needs):
                continue
            script = program.write(folder, healthy=name in HEALTHY)
            strict = [] if name in HEALTHY else ["--fail-on", "warning"]
            plain = pool.submit(_run, [script.name], folder) if name in HEALTHY else None
            found[name] = Runs(script, pool.submit(_run, [*WATCHED, *strict, script.name], folder), plain)
        yield found
        pool.shutdown(cancel_futures=True)


@dataclass
class Runs:
    """The script, and its outcome with the doctor and without."""

    script: Path
    watched: Future[subprocess.CompletedProcess[str]]
    plain: Future[subprocess.CompletedProcess[str]] | None


def _run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BUGGY, *FRAMEWORKS])
def test_the_bug_of_a_program_is_the_first_that_is_told_at_its_line(name: str, runs: dict[str, Runs]) -> None:
    program = read(_path(name))
    for package in program.needs:
        pytest.importorskip(package)
    done, script = runs[name].watched.result(), runs[name].script
    assert done.returncode == 1, done.stderr
    first = json.loads((script.parent / "report.json").read_text())["findings"][0]
    assert first["code"] in program.codes
    assert any(abs(first["line"] - line) <= 2 for line in program.lines)
    assert first["source"] == script.read_text().splitlines()[first["line"] - 1].strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_gets_no_error_and_prints_the_same_to_the_last_bit(name: str, runs: dict[str, Runs]) -> None:
    assert runs[name].plain is not None
    plain, watched, script = runs[name].plain.result(), runs[name].watched.result(), runs[name].script
    assert plain.returncode == watched.returncode == 0, watched.stderr
    assert plain.stdout == watched.stdout
    findings = json.loads((script.parent / "report.json").read_text())["findings"]
    assert [one["code"] for one in findings if one["severity"] != "info"] == []
