"""Many related runs at once, each exactly as if it were trained alone: members, back ends, rungs.

Not here: which settings to try (`mlkit.search`) and one run (`mlkit.engine`). Names are resolved when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlkit.population.member import Member
    from mlkit.population.progress import Progress
    from mlkit.population.result import MemberResult, PopulationResult
    from mlkit.population.rungs import Halving, Keep, Standing, halving
    from mlkit.population.train import train_many

_WHERE = {
    "Halving": "rungs",
    "Keep": "rungs",
    "Member": "member",
    "MemberResult": "result",
    "PopulationResult": "result",
    "Progress": "progress",
    "Standing": "rungs",
    "halving": "rungs",
    "train_many": "train",
}

__all__ = [
    "Halving",
    "Keep",
    "Member",
    "MemberResult",
    "PopulationResult",
    "Progress",
    "Standing",
    "halving",
    "train_many",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"mlkit.population.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'mlkit.population' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
