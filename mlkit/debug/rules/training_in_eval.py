"""`mode.training-in-eval`: optimiser steps are taken while the model is in evaluation mode.

Not here: evaluation in training mode (`evaluating_in_train`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts, ModelFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("mode.training-in-eval")
def check(facts: Facts) -> Iterator[Finding]:
    """The model is trained in evaluation mode: dropout is off, and BatchNorm uses stored statistics.

    After a validation pass that called ``eval()`` nothing called ``train()`` again, so the following steps train
    another model than was meant: without dropout, and with running statistics that no longer follow the weights.
    The training loss makes a jump where the mode changes; regularisation is weaker than it looks.

    Proof: at optimiser steps of a model with dropout or BatchNorm its mode is evaluation, while at others it is
    training. Where it is in evaluation mode from the first step on, that may be meant (a fine-tuned model with fixed
    statistics): then it is a warning.

    Buggy::

        for batch in loader:
            step(batch)
            if i % 100 == 0:
                model.eval()
                validate(model)

    Fixed::

        validate(model)
        model.train()

    Healthy look-alikes: a frozen backbone in evaluation mode within a model in training mode; a model without dropout
    and BatchNorm, for which the mode does not matter.

    Seen in: fartashf/vsepp#4; wkentaro/pytorch-fcn#57; joeynmt/joeynmt#184; facebookresearch/clevr-iep#22.
    """
    for model in facts.models.values():
        changes = [(step, training) for step, key, training in facts.late_modes if key == model.key]
        if not model.mode_sensitive or model.is_part_of is not None or all(training for _, training in changes):
            continue
        in_eval = _steps_in_eval(changes, facts.total_steps)
        always = not any(training for _, training in changes)
        if not in_eval or (always and not _was_told(facts, model)):
            continue
        yield Finding(
            "mode.training-in-eval",
            f"{model.kind} is trained in evaluation mode: {', '.join(model.mode_sensitive)} do not do there what they "
            "do in training",
            severity="warning" if always else "error",
            site=_cause(facts, model, changes) or model.site,
            evidence={"steps in evaluation mode": in_eval, "steps": facts.total_steps},
            mechanism="eval() is not followed by train() → dropout is off and BatchNorm uses old statistics in these "
            "steps → weaker regularisation, a jump of the training loss where the mode changes",
            fix="model.train()   # after the validation pass, before the next step",
            confidence=0.7 if always else 0.98,
        )


def _steps_in_eval(changes: list[tuple[int, bool]], total: int) -> int:
    ends = [step for step, _ in changes[1:]] + [total]
    return sum(end - step for (step, training), end in zip(changes, ends, strict=True) if not training)


def _was_told(facts: Facts, model: ModelFacts) -> bool:
    return any(one.model_key in (model.key, -1) and not one.training for one in facts.modes)


def _cause(facts: Facts, model: ModelFacts, changes: list[tuple[int, bool]]) -> Site | None:
    """The ``eval()`` before the first step in evaluation mode."""
    first = next(step for step, training in changes if not training)
    before = [one for one in facts.modes if not one.training and one.step <= first and one.model == model.kind]
    return before[-1].site if before else None
