"""Where the error comes from: the ladder of gaps, and noise, bias and variance, every term with an interval.

Not here: what a model scores (`mlkit.metrics`) and tables of it (`mlkit.report`). Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, not lazily: functions and modules of one name; importing the module later would hide the function.
from mlkit.evaluate.calibration import calibration
from mlkit.evaluate.confusion import confusion
from mlkit.evaluate.decompose import decompose
from mlkit.evaluate.label_errors import label_errors
from mlkit.evaluate.ladder_of import ladder_of
from mlkit.evaluate.shift import shift
from mlkit.evaluate.slices import slices

if TYPE_CHECKING:
    from mlkit.evaluate.advice import Advice, advise
    from mlkit.evaluate.baselines import simple_baselines
    from mlkit.evaluate.cartography import Cartography
    from mlkit.evaluate.curve import learning_curve
    from mlkit.evaluate.decomposition import Decomposition
    from mlkit.evaluate.domain import domain_classifier
    from mlkit.evaluate.independent import decompose_predictions
    from mlkit.evaluate.ladder import Ladder, error_ladder
    from mlkit.evaluate.learners import Job, Learner, Trained
    from mlkit.evaluate.neighbours import neighbour_bracket
    from mlkit.evaluate.noise import noise_of_repeats, noise_of_soft_labels, noise_of_votes, noisy_against_clean
    from mlkit.evaluate.power_law import fit_power_law
    from mlkit.evaluate.selection import bias_corrected, resplit_check, selection_ceiling
    from mlkit.evaluate.sure import wrong_where_sure
    from mlkit.evaluate.terms import Term
    from mlkit.evaluate.unseen import unseen_predictions
    from mlkit.evaluate.weights import importance_weights, weighted_error
    from mlkit.evaluate.worst import worst_rows

_WHERE = {
    "Advice": "advice",
    "advise": "advice",
    "simple_baselines": "baselines",
    "noise_of_votes": "noise",
    "noise_of_soft_labels": "noise",
    "noise_of_repeats": "noise",
    "noisy_against_clean": "noise",
    "neighbour_bracket": "neighbours",
    "domain_classifier": "domain",
    "importance_weights": "weights",
    "weighted_error": "weights",
    "bias_corrected": "selection",
    "resplit_check": "selection",
    "selection_ceiling": "selection",
    "learning_curve": "curve",
    "fit_power_law": "power_law",
    "worst_rows": "worst",
    "wrong_where_sure": "sure",
    "unseen_predictions": "unseen",
    "Cartography": "cartography",
    "Decomposition": "decomposition",
    "Job": "learners",
    "Ladder": "ladder",
    "Learner": "learners",
    "Term": "terms",
    "Trained": "learners",
    "decompose_predictions": "independent",
    "error_ladder": "ladder",
}

__all__ = [
    "Advice",
    "Cartography",
    "Decomposition",
    "Job",
    "Ladder",
    "Learner",
    "Term",
    "Trained",
    "advise",
    "bias_corrected",
    "calibration",
    "confusion",
    "decompose",
    "decompose_predictions",
    "domain_classifier",
    "error_ladder",
    "fit_power_law",
    "importance_weights",
    "label_errors",
    "ladder_of",
    "learning_curve",
    "neighbour_bracket",
    "noise_of_repeats",
    "noise_of_soft_labels",
    "noise_of_votes",
    "noisy_against_clean",
    "resplit_check",
    "selection_ceiling",
    "shift",
    "simple_baselines",
    "slices",
    "unseen_predictions",
    "weighted_error",
    "worst_rows",
    "wrong_where_sure",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.evaluate.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.evaluate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
