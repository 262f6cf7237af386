"""`mode.evaluating-in-train`: the model is evaluated while it is in training mode.

Not here: randomness that stays in evaluation mode (`dropout_always_on`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mlkit.debug.facts import CallFacts, Facts, ModelFacts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule


@rule("mode.evaluating-in-train")
def check(facts: Facts) -> Iterator[Finding]:
    """The model is evaluated in training mode: dropout is on, and BatchNorm learns from the validation data.

    Predictions are noisy, or depend on which samples share a batch; the running statistics absorb what the model must
    not have seen. Validation looks worse (dropout) or better (statistics of its own batch) than the model is.

    Proof: passes without backward, over several batches or over a loader that is never trained on, ran while a model
    with dropout or BatchNorm was in training mode.

    Buggy::

        with torch.no_grad():
            for x, y in val_loader:
                correct += (model(x).argmax(1) == y).sum()

    Fixed::

        model.eval()
        with torch.no_grad():
            ...
        model.train()

    Healthy look-alikes: several passes over the very same batch (dropout as an ensemble); a pass without a graph at
    every training step (a generator that feeds a discriminator, a teacher); models without dropout and BatchNorm.

    Seen in: wolny/pytorch-3dunet#53; udacity/deep-learning-v2-pytorch#3; pliang279/MultiBench#26.
    """
    for model in facts.models.values():
        if not model.mode_sensitive or not _is_trained(facts, model):
            continue
        calls = [one for one in facts.calls if one.model_key == model.key]
        runs = [list(run) for is_eval, run in groupby(calls, key=lambda one: one.led_to_backward is False) if is_eval]
        wrong = [run for run in runs if _is_evaluation(facts, run) and all(one.training for one in run)]
        trained = sum(one.led_to_backward is True for one in calls)
        if not wrong or (len(runs) > 0.5 * max(trained, 1) and trained > 3):
            continue
        first = wrong[0][0]
        yield Finding(
            "mode.evaluating-in-train",
            f"{model.kind} is evaluated in training mode: {', '.join(model.mode_sensitive)} are still at work",
            site=first.site,
            evidence={
                "evaluation passes in training mode": sum(len(run) for run in wrong),
                "evaluations": len(runs),
            },
            mechanism="no eval() before validation → dropout makes predictions random, BatchNorm uses and learns the "
            "statistics of validation batches → the score is not that of the model",
            fix="model.eval()   # before the validation loop; model.train() after it",
            confidence=0.97,
        )


def _is_trained(facts: Facts, model: ModelFacts) -> bool:
    stepped = {key for one in facts.optimizers.values() if one.steps for key in one.parameters}
    return bool(stepped & set(model.parameters))


def _is_evaluation(facts: Facts, run: list[CallFacts]) -> bool:
    if any(one.repeats >= 2 for one in run) or run[0].step == 0:
        return False
    roles = {facts.loaders[one.loader].role for one in run if one.loader is not None and one.loader in facts.loaders}
    return "eval" in roles or not any(one.grad_enabled for one in run) or len(run) > 1
