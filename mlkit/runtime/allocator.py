"""The C library's memory allocator: what a training step frees is kept for the next one.

Not here: GPU memory, which PyTorch keeps by itself.
"""

from __future__ import annotations

import ctypes
import sys

# glibc's mallopt.h: blocks above MMAP_THRESHOLD are mapped one by one and unmapped when freed, and free memory at the
# end of the heap above TRIM_THRESHOLD goes back to the system. Either way the next step's activations start as pages
# that the kernel has to find and clear.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20  # glibc takes no larger one on 64-bit machines
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, from now on; `hand_back` releases what is free.

    It holds for the whole process and cannot be undone exactly, since glibc adapts its thresholds only until they are
    set.

    Returns:
        Whether the allocator took it; False where the C library is not glibc.
    """
    library = _glibc()
    if library is None:
        return False
    taken = [library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), library.mallopt(_TRIM_THRESHOLD, _NEVER)]
    return all(result == 1 for result in taken)


def hand_back() -> None:
    """Give memory that is free now back to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt") else None
