"""`step.graph-cut`: values go on towards the loss, their gradient does not come back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts, OptimizerFacts, RollFacts
from mlkit.debug.findings import Finding
from mlkit.debug.held import is_fresh, never_reached, rolls_of, scenes, words
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

EXPLAINS = (
    "model.vanishing-gradient",
    "model.dead-units",
    "model.unused-module",
    "model.too-small",
    "model.ignores-input",
    "step.parameter-not-optimised",
    "step.learning-rate-too-low",
)


@rule("step.graph-cut")
def check(facts: Facts) -> Iterator[Finding]:
    """The graph is cut between parameters and loss: they never get a gradient.

    ``detach()``, ``.data``, a way through NumPy or Python numbers, a new tensor made of an old one, and all that is
    computed under ``no_grad`` carry the value on and stop the gradient. What lies above the cut learns, what lies below
    keeps its initial weights. Where everything lies below, backward raises, unless someone "repaired" that with
    ``loss.requires_grad_()``.

    Proof: the loss is computed from the parameter by value, no path of the graph leads back to it, an optimiser holds
    it, and at no step that was looked at had it a gradient; nor did it change otherwise. Detached targets, frozen
    teachers, averaged copies, straight-through estimators and a generator's samples in the discriminator's loss are
    held by no optimiser, get their gradient from another loss, or move by other means: quiet.

    Buggy::

        code = self.encoder(x).detach()

    Fixed::

        code = self.encoder(x)

    Seen in: lucidrains/CoCa-pytorch#6; Cadene/murel.bootstrap.pytorch#7; speechbrain/speechbrain#1396.
    """
    told: set[Site | None] = set()
    for optimizer in facts.optimizers.values():
        never = never_reached(facts, optimizer)
        if not never or _is_unused(facts, optimizer, never):
            continue
        cuts = _cuts_of(facts, rolls_of(facts, optimizer), never)
        for site, (keys, cut) in list(cuts.items())[:2]:
            if site not in told:
                told.add(site)
                yield _finding(facts, optimizer, never, site, keys, cut)
    yield from _refused(facts)


def _is_unused(facts: Facts, optimizer: OptimizerFacts, never: set[int]) -> bool:
    used = {key for _, result in scenes(facts, "reach") for key in result["used"]}
    return not never & used


def _cuts_of(
    facts: Facts, rolls: list[RollFacts], never: set[int]
) -> dict[Site | None, tuple[set[int], Mapping[str, Any]]]:
    """The cuts, by line, that keep parameters from their gradient; those before this optimiser's own backward first."""
    own = {roll.backward for roll in rolls}
    every = [result for _, result in scenes(facts, "reach")]
    for results in ([one for one in every if one["site"] in own], every):
        found: dict[Site | None, tuple[set[int], Mapping[str, Any]]] = {}
        for result in results:
            for cut in result["cuts"]:
                if keys := set(cut["keys"]) & never:
                    found.setdefault(cut["site"], (set(), cut))[0].update(keys)
        if found:
            return dict(sorted(found.items(), key=lambda item: -len(item[1][0])))
    return {}


def _finding(
    facts: Facts, optimizer: OptimizerFacts, never: set[int], site: Site | None, keys: set[int], cut: Mapping[str, Any]
) -> Finding:
    fresh = [key for key in keys if is_fresh(facts, key, optimizer.key)]
    whole = len(never) >= len(optimizer.holds)
    return Finding(
        "step.graph-cut",
        f"{_how(cut)}: {words(facts, keys)} never gets a gradient and does not train",
        severity="error" if fresh or whole or not facts.parameters[min(keys)].name else "warning",
        site=site,
        evidence={
            "parameters cut off": len(keys),
            "of them with their initial weights": len(fresh),
            "parameters that the optimiser holds": len(optimizer.holds),
            "steps without a gradient": len(rolls_of(facts, optimizer)),
            "by": str(cut["op"]),
        },
        mechanism="the value goes on, the graph ends here → .grad stays None → the optimiser skips these parameters → "
        + ("nothing learns" if whole else "only what lies above the cut learns"),
        fix=_fix(cut),
        confidence=0.97 if cut["flows"] else 0.85,
        explains=EXPLAINS,
    )


def _how(cut: Mapping[str, Any]) -> str:
    if cut["no_grad"]:
        return "the graph is cut: this is computed without gradients (no_grad)"
    if not cut["flows"]:
        return f"the graph is cut: values leave torch through `{cut['op']}` and come back without it"
    return f"the graph is cut by `{cut['op']}`"


def _fix(cut: Mapping[str, Any]) -> str:
    if cut["no_grad"]:
        return "compute it outside of torch.no_grad()"
    if cut["op"] in ("detach", "data", "detach_"):
        return f"leave out .{cut['op']}"
    return "stay with torch tensors from the parameters to the loss"


def _refused(facts: Facts) -> Iterator[Finding]:
    """Backward was called on a loss without a graph, and raised."""
    result = facts.probe("refused/reach")
    if not result or facts.error is None or "does not require grad" not in facts.error.message:
        return
    if not result["trainable"]:
        return  # everything is frozen: step.frozen-parameter-optimised
    cuts = sorted(result["cuts"], key=lambda cut: -len(cut["keys"]))  # type: ignore[call-overload]
    cut = cuts[0] if cuts else None
    keys = {key for one in cuts if one["site"] == cuts[0]["site"] for key in one["keys"]}
    yield Finding(
        "step.graph-cut",
        f"{_how(cut)}: nothing between the loss and {words(facts, keys)} is left for backward"
        if cut
        else "the loss is not computed from any trainable parameter: backward has no way to go",
        site=cut["site"] if cut else facts.error.site,
        evidence={"parameters cut off": len(keys), "by": str(cut["op"]) if cut else None},
        mechanism="the value goes on, the graph ends here → the loss does not require a gradient → backward raises",
        fix=_fix(cut) if cut else "compute the loss from the model's output",
        confidence=0.97 if cut else 0.8,
        explains=(*EXPLAINS, "shape.mismatch"),
    )
