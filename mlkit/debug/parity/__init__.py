"""Parity: is a model the same as a reference, and where and how does it depart?

Not here: whether a model learns (`mlkit.debug.overfit`).
"""

from mlkit.debug.parity.compare import compare_models
from mlkit.debug.parity.report import Departure, ParityReport

__all__ = ["Departure", "ParityReport", "compare_models"]
