"""`Backend`: the one interface behind which members are trained: one by one, in processes, or as one stack.

Not here: which of them is taken (`mlkit.population.probe`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from mlkit.population.run import Run

BackendName = Literal["loop", "processes", "stacked", "vmap"]
NAMES: tuple[BackendName, ...] = ("loop", "processes", "stacked", "vmap")


class Backend(Protocol):
    """Trains the members of one bucket, all to the same epoch.

    A member that diverges or fails is marked in its record and trained no further; others are not touched by it.
    """

    name: BackendName
    runs: list[Run]
    """The members that it holds; all of them active when `advance` is called."""

    by_epoch: bool
    """Whether it is to be called for every epoch; else for many at once."""

    def advance(self, epoch: int, *, told: Callable[[], None]) -> None:
        """Train every member until it has completed ``epoch`` epochs, and judge it after each; ``told`` is called now
        and then, when records have moved on.
        """

    def select(self, places: Sequence[int]) -> None:
        """Hold on to the members at these places only, in this order; the memory of the others is free."""

    def export(self, place: int) -> dict[str, Any]:
        """Weights, optimiser state and random streams of the member at ``place`` as tensors and plain values.

        They may be those in use: write or copy them before the next `advance`.
        """

    def restore(self, exports: Sequence[Mapping[str, Any]]) -> None:
        """Put back what `export` gave, one for each member that is held; records are put back by the caller."""

    def finish(self) -> None:
        """Judge every member on all splits, whole."""

    def deliver(self, place: int) -> None:
        """Put the trained weights of the member at ``place`` into its ``run.model``."""
