"""What all tests share: where the real data are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets (MLKIT_DATA, default ../shared/data); skips where it is absent."""
    root = Path(os.environ.get("MLKIT_DATA", Path(__file__).parents[1].parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set MLKIT_DATA")
    return root
