"""CPU threads: how many cores this process may use, and how many PyTorch uses for one operation.

Not here: how many are worth using, which is measured (`mlkit.engine.speed`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run the body with ``count`` threads within an operation, then go back to what was set before.

    >>> with threads(1):
    ...     torch.get_num_threads()
    1
    """
    before = torch.get_num_threads()
    if count == before:  # setting the same number still rebuilds the thread pool in some builds
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def available_cores() -> int:
    """Cores that this process may use: its affinity and its container's quota count, not only what the machine has.

    A quota of 1.5 cores counts as 2, since a second thread is of use there; never less than 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(_CGROUPS, _own_group(_OWN_GROUP))
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _own_group(file: Path) -> str:
    """Path of this process's control group (version 2), relative to the mount; empty when there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")


def _quota(root: Path, group: str) -> float | None:
    """The tightest quota in cores on the way from ``group`` up to ``root``; None where nothing is limited.

    Version 2 keeps ``"max 100000"`` or ``"150000 100000"`` (quota and period in microseconds) in ``cpu.max``, version 1
    keeps the two numbers in two files of the ``cpu`` controller, the quota -1 when there is no limit.
    """
    folders = [root / group, *(root / group).parents]
    quotas = [_ratio(_words(folder / "cpu.max")) for folder in folders[: len(Path(group).parts) + 1]]
    quotas.append(_ratio(_words(root / "cpu/cpu.cfs_quota_us") + _words(root / "cpu/cpu.cfs_period_us")))
    return min((quota for quota in quotas if quota is not None), default=None)


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _ratio(words: list[str]) -> float | None:
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])
