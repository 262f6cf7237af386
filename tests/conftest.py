"""What all tests share: where the real data are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets (MLKIT_DATA, default ../shared/data); skips where it is absent."""
    root = Path(os.environ.get("MLKIT_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set MLKIT_DATA")
    return root


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_counts() -> None:
    """A test run that was put into the background ignores Ctrl-C, and so would what it tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
