from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mlkit
from mlkit.runtime import hardware

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_description_is_plain_and_true() -> None:
    found = hardware.describe()
    assert json.loads(json.dumps(found)) == found
    assert found["versions"]["torch"] == torch.__version__  # type: ignore[index]
    assert found["versions"]["mlkit"] == mlkit.__version__  # type: ignore[index]
    assert len(found["gpus"]) == torch.cuda.device_count()  # type: ignore[arg-type]
    assert found["git"] is None


def test_memory_is_plausible() -> None:
    memory = hardware.memory_bytes()
    if memory is None:
        pytest.skip("this system does not tell its memory")
    assert 2**27 < memory < 2**50


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's description of the processor")
def test_bfloat16_agrees_with_what_torch_finds() -> None:
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:
        pytest.skip("this version of torch has no list of capabilities")
    torch_says = any(capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    assert hardware.has_bfloat16_hardware("cpu") == torch_says


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor : 0\nmodel name : Big One\nflags : fpu avx512f avx512_bf16\n\nprocessor : 1\n", True),
        ("processor : 0\nflags : fpu amx_bf16 sse\n", True),
        ("processor : 0\nFeatures : fp asimd bf16 i8mm\n", True),
        ("processor : 0\nflags : fpu avx2 avx512f no_bf16_here\n", False),
        ("", False),
    ],
)
def test_bfloat16_by_processor(text: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    assert hardware.has_bfloat16_hardware("cpu") is expected


def test_a_machine_without_a_description_has_a_name_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "absent")
    assert hardware.cpu_model()
    assert hardware.has_bfloat16_hardware("cpu") is False


def test_bfloat16_is_not_claimed_for_unknown_devices() -> None:
    assert hardware.has_bfloat16_hardware("meta") is False


@needs_git
def test_commit_and_changes(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert hardware.git_state(tmp_path) is None, "a repository without commits has no state"
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "run.txt").write_text("new files are not changes")
    assert hardware.git_state(tmp_path / "outputs") == {"commit": commit, "dirty": False}
    (tmp_path / "a.txt").write_text("two")
    assert hardware.git_state(tmp_path) == {"commit": commit, "dirty": True}


@needs_git
def test_looking_does_not_write(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.txt").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    os.utime(tmp_path / "a.txt", (1, 1))  # git would note the new time in its index
    before = (tmp_path / ".git" / "index").read_bytes()
    hardware.git_state(tmp_path)
    assert (tmp_path / ".git" / "index").read_bytes() == before


def test_outside_a_repository_and_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert hardware.git_state(tmp_path) is None
    assert hardware.git_state(tmp_path / "absent") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.git_state(tmp_path) is None
