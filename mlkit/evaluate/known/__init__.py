"""Known results: what is published on the data sets of the catalogue, and a run beside it.

Not here: simple baselines, which are fitted (`mlkit.evaluate.baselines`).
"""

from mlkit.evaluate.known.compare import KnownComparison, compare
from mlkit.evaluate.known.register import KINDS, REGISTER, Known

__all__ = ["KINDS", "REGISTER", "Known", "KnownComparison", "compare"]
