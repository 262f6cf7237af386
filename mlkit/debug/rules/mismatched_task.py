"""`loss.mismatched-task`: a loss that hardly drives the task."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug import curves
from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of

_DISTANCES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "sub", "__sub__", "__rsub__", "rsub")


@rule("loss.mismatched-task")
def check(facts: Facts) -> Iterator[Finding]:
    """Classes are learned as if they were numbers, and the loss settles where every sample gets the same answer.

    Squared error between probabilities and one-hot rows has a gradient that carries the factors p(1-p) and 1/C: where
    the output is sure and wrong, or shrinks towards the frequencies of the classes, next to nothing drives it on.

    Proof: the targets are zeros and ones, one 1 a row; the loss is a distance and not a likelihood; and it ends at the
    height of the best constant prediction.

    Buggy::

        F.mse_loss(torch.sigmoid(scores), F.one_hot(labels, 10).float())

    Fixed::

        F.cross_entropy(scores, labels)

    Healthy look-alikes: the Brier score with a step size to match (the loss falls below that of a constant); images of
    zeros and ones.

    Seen in: Stack Overflow 50641866, 43561420; "outputs the mean value for every input" (whosebug 6116914).
    """
    told = facts.probe("train/chance")
    chance, kind, name, site = (told.get(one) for one in ("chance", "kind", "head", "site"))
    if kind != "one-hot" or name not in _DISTANCES or not isinstance(chance, float):
        return
    losses = curves.series(facts)
    if len(losses) < 20:
        return
    end = curves.level(losses)
    stuck = symptom_of(facts) in ("plateaus", "slow") or end > 0.9 * chance
    yield Finding(
        "loss.mismatched-task",
        "classes are learned by their distance from one-hot rows, which hardly drives the model"
        + (": the loss stops where every sample gets the same answer" if stuck else ""),
        severity="warning" if stuck else "info",
        site=site if isinstance(site, Site) else None,
        evidence={
            "loss of the best constant prediction": round(chance, 6),
            "loss at the end": round(end, 6),
            "outputs within 0 and 1": bool(told.get("is_bounded")),
        },
        mechanism="squared error on probabilities has gradients with factors p(1-p) and 1/C → they vanish near the "
        "class frequencies → every input gets the prior",
        fix="F.cross_entropy(scores, labels)   # on the raw scores",
        confidence=0.9 if stuck else 0.6,
        explains=("step.learning-rate-too-low", "loss.starts-far-from-chance") if stuck else (),
    )
