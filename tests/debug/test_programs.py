"""Whole programs under the doctor: a few of the corpus here, all of it in `benchmarks/doctor.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debug.corpus import PROGRAMS, read

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
def test_the_bug_of_a_program_is_the_first_that_is_told_at_its_line(name: str, tmp_path: Path) -> None:
    program = read(_path(name))
    for package in program.needs:
        pytest.importorskip(package)
    script = program.write(tmp_path)
    done = _run(["-m", "mlkit.watch", "--fail-on", "warning", "--json", "report.json", script.name], tmp_path)
    assert done.returncode == 1, done.stderr
    first = json.loads((tmp_path / "report.json").read_text())["findings"][0]
    assert first["code"] in program.codes
    assert any(abs(first["line"] - line) <= 2 for line in program.lines)
    assert first["source"] == script.read_text().splitlines()[first["line"] - 1].strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_gets_no_error_and_prints_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    script = read(_path(name)).write(tmp_path, healthy=True)
    plain = _run([script.name], tmp_path)
    watched = _run(["-m", "mlkit.watch", "--json", "report.json", script.name], tmp_path)
    assert plain.returncode == watched.returncode == 0, watched.stderr
    assert plain.stdout == watched.stdout
    findings = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert [one["code"] for one in findings if one["severity"] != "info"] == []
