from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from mlkit.runtime.threads import _own_group, _quota, available_cores, threads


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_count_holds_inside_and_is_put_back(count: int) -> None:
    before = torch.get_num_threads()
    with threads(count):
        assert torch.get_num_threads() == count
    assert torch.get_num_threads() == before


def test_the_count_is_put_back_after_an_error() -> None:
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_no_more_cores_than_the_machine_has() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_affinity_counts() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_tightest_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    write(tmp_path / "cpu.max", "max 100000\n")
    write(tmp_path / "pods/cpu.max", "150000 100000\n")
    write(tmp_path / "pods/one/cpu.max", "400000 100000\n")
    assert _quota(tmp_path, "pods/one") == 1.5
    assert _quota(tmp_path, "") is None
    assert _quota(tmp_path, "elsewhere") is None


def test_the_older_layout_of_quotas(tmp_path: Path) -> None:
    write(tmp_path / "cpu/cpu.cfs_quota_us", "200000\n")
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    assert _quota(tmp_path, "") == 2.0
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    assert _quota(tmp_path, "") is None


def test_a_process_finds_its_own_group(tmp_path: Path) -> None:
    write(tmp_path / "cgroup", "12:cpu:/old\n0::/pods/one\n")
    assert _own_group(tmp_path / "cgroup") == "pods/one"
    assert _own_group(tmp_path / "absent") == ""
