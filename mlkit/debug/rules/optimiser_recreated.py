"""`step.optimiser-recreated`: the optimiser's state is thrown away during training."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, OptimizerFacts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("step.optimiser-recreated")
def check(facts: Facts) -> Iterator[Finding]:
    """An optimiser is made anew again and again: momentum and moments start from zero each time.

    Adam's first steps after a start are as large as its learning rate allows, whatever the gradient's size: the loss
    jumps at each epoch, and never settles. A schedule attached to the old optimiser is lost with it.

    Proof: the same line made four optimisers or more of the same parameters, with a state worth keeping, each after
    the weights that the one before left (not loaded, not initialised again as between folds or rounds of federated
    learning), each for one step or one pass over the data. Plain gradient descent has no state: quiet. Rounds of
    several passes each, as in active learning, are only worth knowing.

    Buggy::

        for epoch in range(epochs):
            optimizer = Adam(model.parameters(), lr=1e-2)

    Fixed::

        optimizer = Adam(model.parameters(), lr=1e-2)
        for epoch in range(epochs):

    Seen in: genn-team/ml_genn#78.
    """
    families: dict[tuple[str, Site | None], list[OptimizerFacts]] = {}
    for optimizer in facts.optimizers.values():
        if optimizer.steps and (optimizer.goes_on or not families.get((optimizer.kind, optimizer.site))):
            families.setdefault((optimizer.kind, optimizer.site), []).append(optimizer)
    for (kind, _), made in families.items():
        again = [one for one in made[1:] if one.goes_on]
        if len(again) < 2 or not _has_state(made[0]):
            continue
        lives = [one.steps for one in made[:-1]]
        regular = max(lives) - min(lives) <= 1
        severity: Severity = "warning" if regular and len(again) >= 3 and _passes(facts, made) <= 1 else "info"
        if max(lives) == 1 and len(again) >= 3:
            severity = "error"
        yield Finding(
            "step.optimiser-recreated",
            f"{kind} is made anew {len(again)} times during training: its state is lost every {lives[0]} steps",
            severity=severity,
            site=_line(facts, made[-1]),
            evidence={"times made": len(made), "steps of each": lives[:8]},
            mechanism="a new optimiser starts with empty moments and step count → large first steps, no "
            "momentum → the loss "
            "jumps at each new start",
            fix="make the optimiser once, before the loop",
            confidence=0.97 if severity == "error" else 0.9 if severity == "warning" else 0.5,
            explains=("step.oscillating",),
        )


def _has_state(optimizer: OptimizerFacts) -> bool:
    if optimizer.kind != "SGD":
        return True
    return any(float(group.get("momentum", 0) or 0) > 0 for group in optimizer.groups)  # type: ignore[arg-type]


def _passes(facts: Facts, made: list[OptimizerFacts]) -> int:
    """How many passes over a training loader began while the first of them lived; 0 where no loader is used."""
    start, stop = made[0].made_at_step, made[1].made_at_step
    return max(
        (
            sum(start <= step < stop for step in loader.passes)
            for loader in facts.loaders.values()
            if loader.role == "train"
        ),
        default=0,
    )


def _line(facts: Facts, optimizer: OptimizerFacts) -> Site | None:
    """The innermost line in a function that also leads to backward: the loop's, not that of a helper that makes it."""
    training = {(site.file, site.function) for back in facts.backwards for site in back.stack}
    for site in optimizer.stack:
        if (site.file, site.function) in training:
            return site
    return optimizer.site
