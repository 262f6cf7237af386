"""`loss.wrong-sign`: minimising what should be maximised.

Not here: losses that are negative for another reason (`wrong_space_into_nll`, `target_domain`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import measured, number, place


@rule("loss.wrong-sign")
def check(facts: Facts) -> Iterator[Finding]:
    """A descent step makes the predictions worse: the loss has the wrong sign.

    A log-likelihood, a reward or a score is minimised although more of it is better, or a loss was negated. The loss
    goes down without bound, which looks like success, while the probability of the right class goes to 0.

    Proof: the gradient by what meets the targets points away from them for every sample, evenly. Where a program has
    several such places all must agree, so an adversarial term beside an ordinary loss is quiet; so are sampled
    actions and
    weights of either sign (policy gradients), trained inputs (adversarial examples), programs with two optimisers
    (adversaries), and losses without targets (densities, which may be negative).

    Buggy::

        loss = dist.log_prob(target).mean()

    Fixed::

        loss = -dist.log_prob(target).mean()

    Seen in: TheDeepChecker's "flipped sign" set; DeepCrime's loss operators.
    """
    for found in measured(facts, "direction"):
        verdicts = found["verdicts"]
        if not verdicts or max(verdicts) > 0:
            continue
        yield Finding(
            "loss.wrong-sign",
            "the loss has the wrong sign: a step that lowers it drives the predictions away from their targets",
            site=place(found),
            evidence={"loss": number(found["loss"]), "met by": found["head"], "places": len(verdicts)},
            mechanism="what should be maximised is minimised → the gradient drives every prediction away from "
            "its target → "
            "the loss falls without bound while the model gets worse",
            fix="loss = -log_likelihood (or leave the minus out of a loss that has its own)",
            confidence=0.96,
            explains=(
                "loss.starts-far-from-chance",
                "loss.mismatched-task",
                "numeric.exploding-gradient",
                "step.learning-rate-too-high",
                "step.oscillating",
                "data.inputs-labels-unpaired",
            ),
        )
        return
