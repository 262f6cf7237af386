"""The rules: pure functions from facts to findings, one idea a file; the docstring of each is its reference page.

Not here: observation and experiments, and the ranking of what the rules find (`mlkit.debug.diagnose`).
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding

Check = Callable[[Facts], Iterator[Finding]]


@dataclass(frozen=True)
class Rule:
    """A rule.

    Args:
        codes: the codes of the findings that it can make.
        check: facts -> findings.
        page: its docstring: what it means, what is seen, why it happens, how to cure it, an example, sources.
    """

    codes: tuple[str, ...]
    check: Check

    @property
    def page(self) -> str:
        return self.check.__doc__ or ""


RULES: list[Rule] = []


def rule(*codes: str) -> Callable[[Check], Check]:
    """Register a rule for the codes that it can find."""

    def register(check: Check) -> Check:
        RULES.append(Rule(codes, check))
        return check

    return register


def load() -> list[Rule]:
    """All rules, their modules imported, in the order of their codes."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return sorted(RULES, key=lambda one: one.codes)
