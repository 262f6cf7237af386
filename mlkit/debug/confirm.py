"""Trials at the end: the user's own loop, continued from its first step with one change, where the curve calls for it.

Not here: how a trial runs (`mlkit.debug.trials`, `mlkit.debug.experiment`) and what is concluded (rules).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.rules.data_facts import evaluation
from mlkit.debug.schedules import play_schedules
from mlkit.debug.symptom import symptom_of
from mlkit.debug.trials import Change

if TYPE_CHECKING:
    from mlkit.debug.session import Session

STEPS = 120
SECONDS = 6.0
"""Processor time of all trials of a program together."""
GATHER_STEPS, GATHER_SECONDS = 400, 2.5
"""How long a copy goes on to show its batches."""
PATIENCE = 3.0
"""Wall time over processor time that a busy machine is allowed."""

# Findings that are waiting for a trial, or that a trial may sharpen: they do not make one needless.
_OPEN = (
    "step.learning-rate-too-high",
    "step.learning-rate-too-low",
    "step.oscillating",
    "step.regularisation-dominates",
    "loss.reduction-scale",
    "loss.mismatched-task",
    "loss.starts-far-from-chance",
    "numeric.exploding-gradient",
)


def confirm(session: Session) -> None:
    """Run the trials that the symptom calls for, within the budget; their losses go to ``facts.trials``."""
    facts = session.facts
    play_schedules(session)
    if session.parked is None or not session.parked.is_open:
        return
    if is_explained(facts):
        return
    kind = symptom_of(facts)
    deadline = time.perf_counter() + PATIENCE * SECONDS
    if kind == "falls" and _may_rise_on_one_batch(facts):
        run_trial(session, Change("lr", 0.0, steps=12, seconds=0.6))
        _note_same_batch(facts)
        kind = symptom_of(facts)
    if kind == "falls" and curves.decay_share(facts) > 1:
        kind = "slow"  # it falls, but how far would it fall without?
    if kind in (None, "falls", "too-good", "crashes"):
        return
    plan = changes(facts, kind)
    control = next(plan)
    run_trial(session, control)
    for change in plan:
        spent = sum(one for told in facts.trials.values() if isinstance(one := told.get("seconds"), float))
        if spent > SECONDS - change.seconds / 2 or time.perf_counter() > deadline:
            facts.skipped.append((f"trial {change.name}", f"the {SECONDS:.0f} s of trials are spent"))
            continue
        run_trial(session, change)


def gather(session: Session) -> None:
    """Where the data could not be read, let a copy of the program go on and look at the batches it meets.

    What they show stands in for what `data-labels` and `data-splits` could not measure, in ``facts.probes``.
    """
    facts, training = session.facts, session.data.is_readable
    if session.parked is None or not session.parked.is_open or facts.error is not None:
        return
    seen = evaluation(facts, "data-splits")
    is_known = ("overlap" in seen and not seen.get("is_batch")) or bool(seen.get("is_training_data"))
    is_short = training and is_known
    if is_short and facts.probe("eval/metric"):
        return
    run_trial(session, Change("gather", float(is_short), steps=GATHER_STEPS, seconds=GATHER_SECONDS))
    found = facts.trials.get("gather", {}).get("gathered")
    if not isinstance(found, dict):
        return
    if not facts.probe("train/data-labels") or facts.probe("train/data-labels").get("is_batch"):
        facts.probes["train/data-labels"] = found.get("data-labels") or facts.probe("train/data-labels")
    for name, probe in (("metric", "train9/metric"), ("eval-metric", "eval/metric")):
        if found.get(name) and not facts.probe(probe):
            facts.probes[probe] = found[name]
    if not facts.probe("train/data-written") and found.get("data-written"):
        facts.probes["train/data-written"] = found["data-written"]
    for name in ("data-signal", "data-values"):
        if found.get(name) and not training:
            facts.probes[f"train/{name}"] = {**facts.probe(f"train/{name}"), **found[name]}
    if not is_known and found.get("data-splits"):
        facts.probes["validation/data-splits"] = {**seen, **found["data-splits"]}


def changes(facts: Facts, kind: str) -> Iterator[Change]:
    """The control, then the changes that may cure a symptom, the likeliest first; stops once the answer is clear."""
    losses = curves.series(facts)
    steps = max(curves.ENOUGH, min(STEPS, len(losses)))
    seconds = SECONDS / 5
    yield Change("nothing", steps=steps, seconds=seconds)
    found = facts.trials.get("nothing")
    got = found.get("losses") if found else None
    held = curves.optimizers(facts)
    if kind in ("plateaus", "slow", "goes-up") and curves.decay_share(facts) > 0.2:
        yield Change("weight_decay", 0.0, steps=steps, seconds=seconds)
        told = curves.trial(facts, "weight_decay=0")
        floor = curves.floor(facts)
        if told is not None and floor is not None and told.is_cured(floor, times=3):
            return
    if isinstance(got, list) and len(got) < curves.ENOUGH:
        return
    if kind in ("explodes", "goes-up"):
        yield from (Change("lr", factor, steps=steps, seconds=seconds) for factor in curves.FACTORS[:3])
        if not any(math.isfinite(told.with_it) for name in facts.trials if (told := curves.trial(facts, name))):
            yield from (Change("lr", factor, steps=steps, seconds=seconds) for factor in curves.FACTORS[3:])
        if facts.probe("train/gradient_growth"):
            yield Change("clip", 1.0, steps=steps, seconds=seconds)
    elif kind == "oscillates":
        yield Change("lr", 0.1, steps=steps, seconds=seconds)
        momentum = max((curves.setting(one, "momentum") for one in held), default=0.0)
        if momentum > 0.5:
            yield Change("momentum", 0.9 if momentum > 0.95 else 0.0, steps=steps, seconds=seconds)
        yield Change("lr", 0.01, steps=steps, seconds=seconds)
    else:
        # A loss that moved may have been moved too far; one that only shows the noise of its batches was not moved.
        moved = abs(losses[0] - curves.level(losses)) > 3 * curves.spread(losses) or max(losses) > 2 * abs(losses[0])
        factors = (0.1, 10.0, 100.0, 0.01) if moved else (100.0, 1000.0, 10.0, 10_000.0)
        for factor in factors:
            yield Change("lr", factor, steps=steps, seconds=seconds)


def is_explained(facts: Facts) -> bool:
    """Whether a property has already proven what is wrong, so that no trial is needed to find it."""
    from mlkit.debug.diagnose import findings

    return any(
        one.severity == "error" and one.code not in _OPEN and not one.code.startswith(("metric.", "data."))
        for one in findings(facts)
    )


def _may_rise_on_one_batch(facts: Facts) -> bool:
    losses = curves.series(facts)
    if len(losses) < 30 or curves.rises(losses) < 0.25 or curves.roughness(losses) < 0.01:
        return False
    batches = {one.batch for one in facts.calls if one.led_to_backward}
    loaded = any(one.role == "train" and (one.length or 0) > (one.batch_size or 1) for one in facts.loaders.values())
    return not loaded and len(batches) < 2


def _note_same_batch(facts: Facts) -> None:
    told = facts.trials.get("lr*0")
    losses = told.get("losses") if told else None
    if isinstance(losses, list) and len(losses) >= 4 and all(map(math.isfinite, losses)):
        width = max(losses) - min(losses)
        facts.trials["lr*0"] = {**(told or {}), "is_same_batch": width <= 1e-4 * (abs(losses[0]) + 1e-12)}


def run_trial(session: Session, change: Change) -> None:
    """Run one trial from the parked program, and keep its losses."""
    parked = session.parked
    if parked is None or not parked.is_open:
        return
    outcome = parked.trial(change, seconds=PATIENCE * change.seconds + 1.0)
    if outcome.problem is not None:
        session.facts.skipped.append((f"trial {change.name}", outcome.problem))
    if isinstance(outcome.value, dict):
        session.facts.trials[change.name] = outcome.value
