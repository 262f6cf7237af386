"""`step.freeze-ineffective`: a freeze that freezes nothing."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes, words
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

PLAIN = "a module's requires_grad is an attribute like any other: only its parameters' flags count"


@rule("step.freeze-ineffective")
def check(facts: Facts) -> Iterator[Finding]:
    """A freeze that freezes nothing: the parameters are trained on.

    ``module.requires_grad = False`` sets an attribute that PyTorch does not read; so does a misspelt flag on a
    parameter, and a flag set on the copies in a state dictionary. And a parameter that is frozen while it still has a
    gradient goes on moving: momentum and weight decay act on what is there.

    Proof: the attribute is there, the parameters below still require gradients, and an optimiser that steps holds
    them; or a parameter that requires no gradient changed in the optimiser's step.

    Buggy::

        model.backbone.requires_grad = False

    Fixed::

        model.backbone.requires_grad_(False)

    Seen in: catalyst-team/catalyst#81; facebookresearch/fairseq#4702.
    """
    trained = {key for roll in facts.rolls for key in roll.held}
    places: dict[tuple[str, Site | None], set[int]] = {}
    for kind, site, keys in facts.plain_freezes:
        if hit := trained & set(keys):
            places.setdefault((kind if kind.startswith("parameter") else "", site), set()).update(hit)
    for (kind, site), caught in places.items():
        flag = kind.removeprefix("parameter: ")
        yield Finding(
            "step.freeze-ineffective",
            f"{words(facts, caught)} was meant to be frozen, and is trained: "
            + (f"`{flag}` is no flag of a parameter" if kind else PLAIN),
            site=site or _line_of(facts, flag),
            evidence={"parameters that go on training": len(caught)},
            mechanism="a new attribute is made → requires_grad of the parameters stays True → the optimiser moves them",
            fix="parameter.requires_grad = False" if kind else "module.requires_grad_(False)",
            confidence=0.99 if not kind or flag != "trainable" else 0.8,
            severity="error" if flag != "trainable" else "warning",
            explains=("mode.frozen-statistics-drift",),
        )
    for _, result in scenes(facts, "reach"):
        void = [(site, key) for site, key in result.get("void_freezes", ()) if key in trained]
        if void:
            yield Finding(
                "step.freeze-ineffective",
                f"{words(facts, [key for _, key in void])} was meant to be frozen, and is trained: "
                "the flag was set on a tensor "
                "that only shares the parameter's memory",
                site=void[0][0],
                evidence={"parameters that go on training": len({key for _, key in void})},
                mechanism="state_dict() and .data give new tensors → their flag is not the parameter's",
                fix="for parameter in module.parameters(): parameter.requires_grad = False",
                confidence=0.97,
            )
            break
    yield from _moving(facts)


def _moving(facts: Facts) -> Iterator[Finding]:
    for optimizer in facts.optimizers.values():
        rolls = [roll for roll in facts.rolls if roll.optimizer == optimizer.key and roll.frozen_moved and roll.held]
        if len(rolls) < 2:
            continue
        keys = {key for roll in rolls for key in roll.frozen_moved}
        yield Finding(
            "step.freeze-ineffective",
            f"{words(facts, keys)} is frozen, and still moves at every step: an old gradient, "
            "momentum or weight decay moves it",
            site=rolls[0].site or optimizer.site,
            evidence={"frozen parameters that moved": len(keys), "steps at which they did": len(rolls)},
            mechanism="a gradient from before the freeze is still there (zeros count) → the optimiser does not "
            "skip it → "
            "momentum and weight decay go on",
            fix="parameter.grad = None   # when it is frozen; or make the optimiser of what is to train",
            confidence=0.97,
        )


def _line_of(facts: Facts, flag: str) -> Site | None:
    """The line that sets a misspelt flag; it is not observed, and is looked for in the file of the steps."""
    file = next((roll.site.file for roll in facts.rolls if roll.site is not None), None)
    if file is None:
        return None
    pattern = re.compile(rf"\.{re.escape(flag)}\s*=[^=]|setattr\(.*{re.escape(flag)}")
    for number, text in enumerate(linecache.getlines(file), 1):
        if pattern.search(text):
            return Site(file, number)
    return None
