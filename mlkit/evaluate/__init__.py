"""Where the error comes from: the ladder of gaps, and noise, bias and variance, every term with an interval.

Not here: what a model scores (`mlkit.metrics`) and tables of it (`mlkit.report`). Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: functions and modules of one name; importing the module later would hide the function.
from mlkit.evaluate.decompose import decompose

if TYPE_CHECKING:
    from mlkit.evaluate.cartography import Cartography
    from mlkit.evaluate.decomposition import Decomposition
    from mlkit.evaluate.independent import decompose_predictions
    from mlkit.evaluate.ladder import Ladder, error_ladder
    from mlkit.evaluate.ladder_of import ladder_of
    from mlkit.evaluate.learners import Job, Learner, Trained
    from mlkit.evaluate.terms import Term

_WHERE = {
    "Cartography": "cartography",
    "Decomposition": "decomposition",
    "Job": "learners",
    "Ladder": "ladder",
    "Learner": "learners",
    "Term": "terms",
    "Trained": "learners",
    "decompose_predictions": "independent",
    "error_ladder": "ladder",
    "ladder_of": "ladder_of",
}

__all__ = [
    "Cartography",
    "Decomposition",
    "Job",
    "Ladder",
    "Learner",
    "Term",
    "Trained",
    "decompose",
    "decompose_predictions",
    "error_ladder",
    "ladder_of",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.evaluate.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.evaluate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
