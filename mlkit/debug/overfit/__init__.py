"""Overfit one batch: the verdict, and the smallest change that would cure it.

Not here: the doctor of whole programs (`mlkit.debug.watching`).
"""

from mlkit.debug.overfit.cause import CauseReport
from mlkit.debug.overfit.prove import prove
from mlkit.debug.overfit.report import OverfitReport
from mlkit.debug.overfit.run import overfit_batch

__all__ = ["CauseReport", "OverfitReport", "overfit_batch", "prove"]
