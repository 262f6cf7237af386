"""`step.checkpoint-aliased`: weights kept as "best" by reference change with training."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule

MECHANISM = (
    "state_dict() gives the live tensors → training goes on changing them → "
    "what was kept is the last state, not the best"
)
FIX = "best = copy.deepcopy(model.state_dict())"


@rule("step.checkpoint-aliased")
def check(facts: Facts) -> Iterator[Finding]:
    """Weights are kept without a copy: they go on changing, and restoring them restores nothing.

    ``state_dict()`` gives references to the live tensors. Kept as the best state so far, it is at any later time the
    current state. Early stopping then has no effect, and several kept states are all the same.

    Proof: a state that is loaded or saved was taken at an earlier step, and its tensors still are the memory of the
    weights that were trained since. A state that is loaded or saved at the step at which it was taken is quiet.

    Buggy::

        best = model.state_dict()

    Fixed::

        best = copy.deepcopy(model.state_dict())

    Seen in: pytorch/tutorials#188; thunlp/OpenKE#131; WenjieDu/PyPOTS#667; zhangj111/astnn#8.
    """
    told = set()
    for load in facts.loads:
        if load.aliased_since is None or load.aliased_site in told:
            continue
        told.add(load.aliased_site)
        yield Finding(
            "step.checkpoint-aliased",
            f"the state taken at step {load.aliased_since} and loaded at step {load.step} is no copy: "
            "it had become the state "
            f"of step {load.step}",
            severity="error" if load.is_own_alias else "warning",
            site=load.aliased_site or load.site,
            evidence={
                "taken at step": load.aliased_since,
                "loaded at step": load.step,
                "tensors shared with the live weights": load.shares_storage,
                "tensors that the load changed": load.changed,
            },
            mechanism=MECHANISM,
            fix=FIX,
            confidence=0.99 if load.is_own_alias else 0.85,
            explains=("step.checkpoint-not-loaded",),
        )
    for taken, saved, first, then in facts.aliased_saves:
        if taken not in told:
            told.add(taken)
            yield Finding(
                "step.checkpoint-aliased",
                f"the state taken at step {first} and saved at step {then} is no copy: it had become "
                "the state of step {then}",
                site=taken or saved,
                evidence={"taken at step": first, "saved at step": then},
                mechanism=MECHANISM,
                fix=FIX,
                confidence=0.97,
            )
    kept = [one for one in facts.snapshots if one.is_kept and one.shares_storage > 0.9 and one.step < one.later_step]
    steps = {one.step for one in kept if one.site not in told}
    if len(steps) > 1:
        yield Finding(
            "step.checkpoint-aliased",
            f"{len(steps)} states kept from different steps are all the same: none is a copy",
            severity="warning",
            site=kept[0].site,
            evidence={"taken at steps": sorted(steps)[:10]},
            mechanism=MECHANISM,
            fix=FIX,
            confidence=0.9,
        )
