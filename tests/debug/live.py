"""Tiny training programs, watched as the doctor would watch them, with only the probes that a test needs.

Not here: the corpus of whole programs (`tests.debug.corpus`).
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug import probes, running
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import load
from mlkit.debug.watching import Watch

STEPS = 6
"""Fewer losses than a symptom needs, so that no trials are run."""


class Net(nn.Module):
    """Two layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 12)
        self.second = nn.Linear(12, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.second(F.relu(self.first(x)))))


def batch(size: int = 16) -> tuple[Tensor, Tensor]:
    """A batch with labels that can be learnt."""
    x = torch.randn(size, 8)
    return x, x[:, :3].argmax(1)


def observed(program: Callable[[], object], *names: str) -> Facts:
    """Run a program under observation; ``names`` are the probes to run with it. Its exception is kept as a fact."""
    chosen = [one for one in probes.load() if one.name in names]
    torch.manual_seed(0)
    with mock.patch.object(running, "PROBES", chosen):
        watch = Watch(trials=bool(names))
        try:
            with watch:
                program()
        except RuntimeError:
            pass
    return watch._session.facts


def found(program: Callable[[], object], code: str, *names: str) -> list[Finding]:
    """What the rule of ``code`` finds in a program, gravest first; notes (``info``) left out."""
    facts = observed(program, *names)
    rules = [one for one in load() if code in one.codes]
    assert rules
    return [one for rule in rules for one in rule.check(facts) if one.code == code and one.severity != "info"]


def source(finding: Finding) -> str:
    """The line that a finding points to."""
    return finding.site.source if finding.site is not None else ""
