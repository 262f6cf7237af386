"""Learning-rate schedulers: where they are made, with what, when they are stepped.

Seam: ``__init__`` and ``step`` of the classes in `torch.optim.lr_scheduler`.
Not here: playing a schedule ahead (rules do that from the settings).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim import lr_scheduler as seams

from mlkit.debug.facts import SchedulerFacts
from mlkit.debug.observe.patches import Patches

if TYPE_CHECKING:
    from mlkit.debug.session import Session

_PLAIN = (int, float, str, bool, list, tuple, type(None))


class SchedulerWatch:
    """All schedulers of a program."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[int, tuple[Any, int]] = {}
        self._depth = 0  # a constructor steps once by itself and calls its parent's: neither is the user's

    def start(self, patches: Patches) -> None:
        """Put the seams in place."""
        for kind in list(vars(seams).values()):
            if isinstance(kind, type) and issubclass(kind, (seams.LRScheduler, seams.ReduceLROnPlateau)):
                if "__init__" in vars(kind):
                    patches.around(kind, "__init__", self._around_init)
                if "step" in vars(kind):
                    patches.around(kind, "step", self._around_step)

    def live(self) -> list[tuple[Any, int]]:
        """Every scheduler with its key."""
        return list(self._known.values())

    def _around_init(self, original: Any) -> Any:
        def call(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            self._depth += 1
            try:
                original(scheduler, *args, **kwargs)
            finally:
                self._depth -= 1
            if self._is_wanted() and id(scheduler) not in self._known:
                site = self._session.locator.here(sys._getframe(1))
                with self._session.quietly():
                    self._note(scheduler, site)

        return call

    def _around_step(self, original: Any) -> Any:
        def call(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            self._depth += 1
            try:
                result = original(scheduler, *args, **kwargs)
            finally:
                self._depth -= 1
            known = self._known.get(id(scheduler))
            if self._is_wanted() and known is not None:
                facts = self._session.facts.schedulers[known[1]]
                facts.calls += 1
                if facts.calls <= 100 or facts.calls % 50 == 0:
                    facts.step_site = facts.step_site or self._session.locator.here(sys._getframe(1))
                    facts.steps.append((self._session.step, float(scheduler.optimizer.param_groups[0]["lr"])))
            return result

        return call

    def _is_wanted(self) -> bool:
        return self._depth == 0 and self._session.is_recording and self._session.trial is None

    def _note(self, scheduler: Any, site: Any) -> None:
        facts = self._session.facts.schedulers
        key = len(facts)
        self._known[id(scheduler)] = (scheduler, key)
        optimizer = getattr(scheduler, "optimizer", None)
        number = self._session.optimizers.key(optimizer) if isinstance(optimizer, Optimizer) else None
        settings: dict[str, object] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(scheduler).items()
            if isinstance(value, _PLAIN) and not name.startswith("_")
        }
        facts[key] = SchedulerFacts(key, type(scheduler).__name__, site, number, settings)
