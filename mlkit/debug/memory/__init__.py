"""Memory: what a step takes, predicted and measured, and the largest batch that fits.

Not here: running out of it in a program that is watched (`mlkit.debug.rules`).
"""

from mlkit.debug.memory.estimate import MemoryEstimate, estimate_memory
from mlkit.debug.memory.largest import LargestBatch, largest_batch

__all__ = ["LargestBatch", "MemoryEstimate", "estimate_memory", "largest_batch"]
