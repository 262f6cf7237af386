"""Hyper-parameter search: from wide ranges to the few configurations that are level at the top, and why.

Not here: training (`mlkit.engine`), nor settings from files (`mlkit.config`). Names are resolved when first used;
Optuna, an extra, is needed only for Bayesian optimisation and to be a sampler of its studies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.search.dimensions import Choice, Fixed, Integer, Log, Uniform, choice, fixed, integer, log, uniform
    from mlkit.search.driver import coarse_to_fine, run
    from mlkit.search.finals import Comparison, bias_corrected, compare
    from mlkit.search.halving import Fidelity
    from mlkit.search.kernel import Kernel
    from mlkit.search.methods import CoarseToFine
    from mlkit.search.objective import Serial
    from mlkit.search.result import SearchResult
    from mlkit.search.sampler import CoarseToFineSampler
    from mlkit.search.scoring import Satisficing, WeightedMean, pareto
    from mlkit.search.space import Space
    from mlkit.search.text import interval, parse
    from mlkit.search.trials import Executor, Job, Outcome, Trial

_WHERE = {
    "Choice": "dimensions",
    "CoarseToFine": "methods",
    "CoarseToFineSampler": "sampler",
    "Comparison": "finals",
    "Executor": "trials",
    "Fidelity": "halving",
    "Fixed": "dimensions",
    "Integer": "dimensions",
    "Job": "trials",
    "Kernel": "kernel",
    "Log": "dimensions",
    "Outcome": "trials",
    "Satisficing": "scoring",
    "SearchResult": "result",
    "Serial": "objective",
    "Space": "space",
    "Trial": "trials",
    "Uniform": "dimensions",
    "WeightedMean": "scoring",
    "bias_corrected": "finals",
    "choice": "dimensions",
    "coarse_to_fine": "driver",
    "compare": "finals",
    "fixed": "dimensions",
    "integer": "dimensions",
    "interval": "text",
    "log": "dimensions",
    "pareto": "scoring",
    "parse": "text",
    "run": "driver",
    "uniform": "dimensions",
}

__all__ = [
    "Choice",
    "CoarseToFine",
    "CoarseToFineSampler",
    "Comparison",
    "Executor",
    "Fidelity",
    "Fixed",
    "Integer",
    "Job",
    "Kernel",
    "Log",
    "Outcome",
    "Satisficing",
    "SearchResult",
    "Serial",
    "Space",
    "Trial",
    "Uniform",
    "WeightedMean",
    "bias_corrected",
    "choice",
    "coarse_to_fine",
    "compare",
    "fixed",
    "integer",
    "interval",
    "log",
    "pareto",
    "parse",
    "run",
    "uniform",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.search.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.search' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
