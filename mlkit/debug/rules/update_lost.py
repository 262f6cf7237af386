"""`step.update-lost`: updates are computed, and go to weights that nobody uses."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, ModelFacts
from mlkit.debug.findings import Finding
from mlkit.debug.held import never_reached, rolls_of, scenes, words
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

EXPLAINS = (
    "step.parameter-not-optimised",
    "step.graph-cut",
    "step.learning-rate-too-low",
    "step.gradients-not-cleared",
    "model.unused-module",
    "mode.*",
)


@rule("step.update-lost")
def check(facts: Facts) -> Iterator[Finding]:
    """Updates are computed and lost: on a copy, on a model that nobody uses, or never applied.

    A wrapper trains a deep copy while the original is evaluated; an optimiser holds the parameters of a model that was
    replaced; ``optimizer.step()`` is missing; ``w = w - lr * w.grad`` makes a new tensor. The gradients look healthy,
    the loss (of the model that is looked at) stays flat.

    Proof, in this order: a model that is evaluated after steps never changes, while its copy (or another model of the
    same class and shapes) is trained and never evaluated; nothing that an optimiser holds is used, while what is used
    gets gradients; an optimiser never steps although its parameters get gradients and never change. Averaged copies,
    target networks and models that receive the trained weights change: quiet; so is a baseline beside an evaluated
    model.

    Buggy::

        self.model = copy.deepcopy(model)   # … and later: evaluate(model)

    Fixed::

        self.model = model

    Seen in: huggingface/accelerate#2665; jxmnop (a TrainCheck case).
    """
    yield from _copies(facts)
    yield from _functional(facts)
    yield from _strangers(facts)
    yield from _never_stepped(facts)
    if facts.lost_updates is not None and not facts.rolls and len(facts.losses) >= 5:
        yield Finding(
            "step.update-lost",
            "new weights are computed from the gradient, and the loss goes on using the old ones",
            site=facts.lost_updates,
            evidence={"backward passes": len(facts.losses)},
            mechanism="w - lr * grad is a new tensor → the one that the loss is computed from stays → nothing "
            "is learnt",
            fix="with torch.no_grad(): w -= lr * w.grad",
            confidence=0.95,
            explains=EXPLAINS,
        )


def _copies(facts: Facts) -> Iterator[Finding]:
    held = {key for one in facts.optimizers.values() if one.steps for key in one.holds}
    trained = [one for one in facts.models.values() if held & set(one.parameters)]
    # Of models only: one that is a part of another is trained with it.
    for model in facts.models.values():
        keys = set(model.parameters)
        if not keys or keys & held or model.has_moved or not any(facts.parameters[key].trainable for key in keys):
            continue
        if any(keys <= set(other.parameters) for other in facts.models.values() if other is not model):
            continue
        looks = [one for one in facts.calls if one.model_key == model.key and one.step > 0]
        if not looks or any(one.led_to_backward for one in looks) or _is_loaded(facts, keys):
            continue
        for other in trained:
            if _is_same_kind(facts, model, other) and _is_only_trained(facts, other):
                linked = model.key in (other.copy_of,) or other.key in (model.copy_of,)
                if not linked and len({one.step for one in looks}) < 2:
                    continue
                yield _copied(model, other, len(looks), looks[0].site, linked=linked)
                return


def _functional(facts: Facts) -> Iterator[Finding]:
    """One module, called with weights that are trained (`functional_call`), and evaluated with its own."""
    held = {key for one in facts.optimizers.values() if one.steps for key in one.holds}
    for model in facts.models.values():
        calls = [one for one in facts.calls if one.model_key == model.key and one.step > 0]
        trained = {one.weights for one in calls if one.led_to_backward} & held
        looks = [one for one in calls if not one.led_to_backward and not one.grad_enabled]
        others = {one.weights for one in looks}
        if not trained or not looks or model.has_moved or others & held or None in others:
            continue
        yield Finding(
            "step.update-lost",
            f"the {model.kind} is evaluated with its own weights, and others are trained in their place",
            site=looks[0].site,
            evidence={"evaluations with untrained weights": len(looks), "parameters": len(model.parameters)},
            mechanism="functional_call trains a dictionary of copies → the module keeps what it was made with → its "
            "evaluation never changes",
            fix="evaluate with functional_call(model, weights, (x,)), or weights = dict(model.named_parameters())",
            confidence=0.95,
            explains=EXPLAINS,
        )
        return


def _is_loaded(facts: Facts, keys: set[int]) -> bool:
    return any(facts.parameters[key].is_loaded for key in keys)


def _is_same_kind(facts: Facts, model: ModelFacts, other: ModelFacts) -> bool:
    shapes = [[facts.parameters[key].shape for key in one.parameters] for one in (model, other)]
    return other.key != model.key and other.kind == model.kind and shapes[0] == shapes[1]


def _is_only_trained(facts: Facts, model: ModelFacts) -> bool:
    calls = [one for one in facts.calls if one.model_key == model.key and one.step > 0]
    looked_at = [one for one in calls if not one.led_to_backward and (not one.grad_enabled or not one.training)]
    return any(one.led_to_backward for one in calls) and not looked_at and len(facts.calls) <= 400


def _copied(model: ModelFacts, other: ModelFacts, looks: int, site: Site | None, *, linked: bool) -> Finding:
    what = "a copy of it" if linked else "another one of the same shape"
    return Finding(
        "step.update-lost",
        f"the {model.kind} that is evaluated never changes: {what} is trained, and never looked at",
        site=other.copy_site or model.copy_site or site,
        evidence={"evaluations of the unchanged one": looks, "parameters": len(model.parameters)},
        mechanism="the optimiser steps on one set of weights → the other is evaluated → its loss stays flat",
        fix="train the model itself, or evaluate the one that was trained",
        confidence=0.95,
        explains=EXPLAINS,
    )


def _strangers(facts: Facts) -> Iterator[Finding]:
    used = {key for _, result in scenes(facts, "reach") for key in (*result["used"], *result["reached"])}
    for optimizer in facts.optimizers.values():
        rolls = rolls_of(facts, optimizer)
        held = {key for roll in rolls for key in roll.held}
        if not held or not never_reached(facts, optimizer) >= held or held & used:
            continue
        orphans = {key for roll in rolls for key in roll.strangers}
        others = {key for one in facts.optimizers.values() if one is not optimizer for key in one.holds}
        if not orphans - others:
            continue
        yield Finding(
            "step.update-lost",
            f"the optimiser holds parameters that the loss is not computed from; those that it is computed from "
            f"({words(facts, orphans)}) are in no optimiser",
            site=optimizer.site or rolls[0].site,
            evidence={
                "parameters held": len(held),
                "of them used": 0,
                "parameters used and not held": len(orphans),
                "steps looked at": len(rolls),
            },
            mechanism="the optimiser was given another model's (or an old copy's) parameters → its steps "
            "change nothing that is "
            "used → the loss stays flat",
            fix="optimizer = Optimizer(model.parameters(), …)   # of the model that is called",
            confidence=0.97,
            explains=EXPLAINS,
        )


def _never_stepped(facts: Facts) -> Iterator[Finding]:
    if not facts.is_finished or len(facts.losses) < 8:
        return
    stepping = {key for one in facts.optimizers.values() if one.steps for key in one.holds}
    moved = {key for model in facts.models.values() if model.has_moved for key in model.parameters}
    reached = {key for _, result in scenes(facts, "reach") for key in result["reached"]}
    for optimizer in facts.optimizers.values():
        if optimizer.steps or not optimizer.holds or optimizer.holds & (stepping | moved):
            continue
        strangers = {key for roll in facts.rolls for key in roll.strangers}
        alone = not facts.rolls and bool(optimizer.holds & reached)
        models = {key for model in facts.models.values() for key in model.parameters}
        if not optimizer.holds <= models or not (alone or optimizer.holds & strangers):
            continue
        backward = facts.backwards[0].site if facts.backwards else None
        yield Finding(
            "step.update-lost",
            f"{optimizer.kind} never steps: gradients of {words(facts, optimizer.holds)} are computed and not used",
            site=backward if alone else optimizer.site,
            evidence={"backward passes": len(facts.losses), "steps of this optimiser": 0},
            mechanism="backward fills .grad → nothing applies it → the weights stay as they are",
            fix="optimizer.step()   # after backward, with its parentheses",
            confidence=0.93,
            explains=EXPLAINS,
        )
