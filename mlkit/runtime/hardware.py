"""What a run ran on: processor, memory, GPUs, versions and the commit of the code, as plain values for the run folder.

Not here: measurements; a machine's speed for a model is found by trying (`mlkit.engine.speed`).
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from mlkit.runtime.threads import available_cores

_CPUINFO = Path("/proc/cpuinfo")
# Instructions that multiply bfloat16 numbers: AVX-512 and AMX on x86, the bf16 extension on Arm. Without them bfloat16
# is emulated, several times slower than float32.
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})


def describe(*, folder: Path | str | None = None) -> dict[str, object]:
    """Machine, versions and, for ``folder``, the commit; plain values, ready for JSON.

    Args:
        folder: a folder within the repository whose commit is wanted; None leaves it out.

    >>> sorted(describe())
    ['cores', 'cpu', 'cpu_bfloat16', 'git', 'gpus', 'memory_bytes', 'platform', 'versions']
    """
    return {
        "cpu": cpu_model(),
        "cores": available_cores(),
        "memory_bytes": memory_bytes(),
        "cpu_bfloat16": has_bfloat16_hardware("cpu"),
        "gpus": gpus(),
        "platform": platform.platform(),
        "versions": versions(),
        "git": None if folder is None else git_state(folder),
    }


def cpu_model() -> str:
    """The processor's name, such as "AMD EPYC 9V74"; the architecture where the name is not known."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """Main memory of the machine; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def has_bfloat16_hardware(device: torch.device | str = "cpu") -> bool:
    """Whether ``device`` has instructions for bfloat16, so that it can be faster than float32; False where not known.

    CUDA has them from compute capability 8.0 (Ampere) on.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    info = _cpuinfo()
    return not _BFLOAT16_FLAGS.isdisjoint((info.get("flags") or info.get("Features") or "").split())


def gpus() -> list[dict[str, object]]:
    """Name, memory and compute capability of each GPU that PyTorch sees."""
    if not torch.cuda.is_available():
        return []
    found = (torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count()))
    return [
        {"name": gpu.name, "memory_bytes": gpu.total_memory, "capability": f"{gpu.major}.{gpu.minor}"} for gpu in found
    ]


def versions() -> dict[str, str]:
    """Versions of what decides a result; CUDA's only where torch was built with it."""
    from mlkit import __version__

    cuda = {} if torch.version.cuda is None else {"cuda": torch.version.cuda}
    python = ".".join(map(str, sys.version_info[:3]))
    return {"mlkit": __version__, "python": python, "torch": torch.__version__, "numpy": np.__version__, **cuda}


def git_state(folder: Path | str) -> dict[str, object] | None:
    """The commit that ``folder`` is at and whether tracked files differ from it.

    None without git, outside a repository, or in one without commits.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(folder: Path | str, *arguments: str) -> str | None:
    # Reading must not write: without this variable `git status` refreshes the index file.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, env=environment, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries in Linux's description; empty elsewhere."""
    try:
        block = _CPUINFO.read_text().split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
