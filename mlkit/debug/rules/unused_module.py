"""`model.unused-module`: a module with trainable parameters that no forward pass reaches."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import never_reached, numbers, scenes, words
from mlkit.debug.rules import rule


@rule("model.unused-module")
def check(facts: Facts) -> Iterator[Finding]:
    """A module with trainable parameters that no forward pass uses.

    It may be an auxiliary head that is switched off, or a layer whose line in ``forward`` was forgotten. It costs
    memory and trains nothing.

    Evidence: an optimiser holds its parameters, none of them had a gradient at any step that was looked at, and no
    call of the segments that were looked at reads them. Worth knowing only: spare heads are common.

    Buggy::

        def forward(self, x):
            return self.head(self.stem(x))      # and self.blocks?

    Fixed::

        def forward(self, x):
            return self.head(self.blocks(self.stem(x)))
    """
    results = [result for _, result in scenes(facts, "reach")]
    if not results or any(result["is_truncated"] for result in results):
        return
    used = {key for result in results for key in (*result["used"], *result["reached"])}
    for optimizer in facts.optimizers.values():
        keys = never_reached(facts, optimizer) - used
        named = {key for key in keys if facts.parameters[key].name}
        if not named or len(named) >= len(optimizer.holds):
            continue
        first = facts.parameters[min(named)]
        yield Finding(
            "model.unused-module",
            f"{words(facts, named)} takes no part in the forward pass",
            severity="info",
            site=first.site,
            evidence={"parameters": len(named), "numbers in them": numbers(facts, named)},
            mechanism="no call uses it → no gradient → it keeps its initial weights",
            fix="use it in forward, or leave it out",
            confidence=0.8,
        )
        return
