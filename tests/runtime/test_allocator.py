"""Freed memory stays in the process once that is asked for: seen in page faults, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# 30 blocks of 16 MB, each filled and freed before the next: 4,096 pages fault in every one that is mapped afresh.
PROGRAM = """
import ctypes, resource, sys
from mlkit.runtime.allocator import hand_back, keep_freed_memory
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
library.mallopt(-3, 128 * 1024)  # without this glibc would adapt by itself to blocks of one size
if sys.argv[1] == "keep":
    assert keep_freed_memory()

def resident():
    return int(open("/proc/self/statm").read().split()[1])

start = resident()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(30):
    block = library.malloc(16 * 2**20)
    ctypes.memset(block, 1, 16 * 2**20)
    library.free(block)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
kept = resident() - start
hand_back()
print(faults, kept, resident() - start)
"""


def measured(what: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, what], capture_output=True, text=True, check=True, timeout=60)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc is what is set")
def test_freed_memory_is_kept_and_handed_back() -> None:
    faults, _, _ = measured("leave")
    faults_kept, kept, after = measured("keep")
    assert faults > 10 * faults_kept or faults > faults_kept + 300  # huge pages fault in steps of 512 pages
    assert kept > 3000  # of the 4,096 pages of one block
    assert after < 1000
