"""What observation and probes hand to judgement: plain values only, so that a rule is a pure function of them.

Not here: live tensors and modules (`mlkit.debug.scene`), and any judgement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlkit.debug.facts_events import (
    BackwardFacts as BackwardFacts,
)
from mlkit.debug.facts_events import (
    CallFacts as CallFacts,
)
from mlkit.debug.facts_events import (
    ErrorFacts as ErrorFacts,
)
from mlkit.debug.facts_events import (
    LoadFacts as LoadFacts,
)
from mlkit.debug.facts_events import (
    ModeFacts as ModeFacts,
)
from mlkit.debug.facts_events import (
    RollFacts as RollFacts,
)
from mlkit.debug.facts_events import (
    SnapshotFacts as SnapshotFacts,
)
from mlkit.debug.facts_events import (
    StepFacts as StepFacts,
)
from mlkit.debug.facts_parts import (
    LoaderFacts as LoaderFacts,
)
from mlkit.debug.facts_parts import (
    ModelFacts as ModelFacts,
)
from mlkit.debug.facts_parts import (
    OptimizerFacts as OptimizerFacts,
)
from mlkit.debug.facts_parts import (
    ParameterFacts as ParameterFacts,
)
from mlkit.debug.facts_parts import (
    SchedulerFacts as SchedulerFacts,
)
from mlkit.debug.sites import Site


@dataclass
class Facts:
    """Everything that is known of a program when it is judged."""

    parameters: dict[int, ParameterFacts] = field(default_factory=dict)
    optimizers: dict[int, OptimizerFacts] = field(default_factory=dict)
    steps: list[StepFacts] = field(default_factory=list)
    backwards: list[BackwardFacts] = field(default_factory=list)
    calls: list[CallFacts] = field(default_factory=list)
    modes: list[ModeFacts] = field(default_factory=list)
    loaders: dict[int, LoaderFacts] = field(default_factory=dict)
    schedulers: dict[int, SchedulerFacts] = field(default_factory=dict)
    loads: list[LoadFacts] = field(default_factory=list)
    snapshots: list[SnapshotFacts] = field(default_factory=list)
    error: ErrorFacts | None = None
    losses: list[tuple[int, float]] = field(default_factory=list)
    """(step, value) of backward calls; every one at first, thinned later."""
    models: dict[int, ModelFacts] = field(default_factory=dict)
    rolls: list[RollFacts] = field(default_factory=list)
    moved: set[int] = field(default_factory=set)
    """Keys of parameters that no optimiser of a roll moved, and that changed nevertheless (by hand, by a load)."""
    lasting_leaves: set[int] = field(default_factory=set)
    """Ids of leaves of the graph that are in no model and no optimiser, and were met at more than one backward."""
    moved_leaves: set[int] = field(default_factory=set)
    """Ids of those that changed by hand, or whose gradient the program asks for by `torch.autograd.grad`."""
    aliased_saves: list[tuple[Site | None, Site | None, int, int]] = field(default_factory=list)
    """States saved to a file, taken without a copy at an earlier step: lines and steps of taking and of saving."""
    lost_updates: Site | None = None
    """A line that computes new weights from a gradient without an effect on those that are trained."""
    broken_ties: list[tuple[str, str, Site | None]] = field(default_factory=list)
    """(name, name, line) of parameters that were one object once, and are two now; the line that parted them."""
    plain_freezes: list[tuple[str, Site | None, list[int]]] = field(default_factory=list)
    """(class, line, keys of trainable parameters) of modules that got ``requires_grad = False`` as an attribute."""
    late_modes: list[tuple[int, int, bool]] = field(default_factory=list)
    """(step, key of a model, training) of the models that an optimiser steps, noted when it changed."""
    phases: list[int] = field(default_factory=lambda: [0])
    """Steps at which a phase of training begins: 0, and where another optimiser was made later."""
    total_steps: int = 0
    is_finished: bool = False
    """Whether the program ran to its end (then what never happened is known not to have)."""
    window: int = 20
    probes: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """Name of a probe (``scene/probe``) -> what it measured in a forked child."""
    trials: dict[str, Mapping[str, object]] = field(default_factory=dict)
    """Name of a change -> what the program did with it, among it ``losses``."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def probe(self, name: str) -> Mapping[str, object]:
        """What a probe measured, or an empty mapping where it did not run or found nothing to measure."""
        return self.probes.get(name, {})

    @property
    def shares_items(self) -> bool:
        """Whether many items of the first evaluation are training items."""
        overlap = self.probe("eval/data-splits").get("overlap")
        return isinstance(overlap, dict) and bool(overlap) and overlap["shared"] > 0.3 * overlap["of"]

    def trainable(self) -> list[ParameterFacts]:
        return [parameter for parameter in self.parameters.values() if parameter.trainable]
