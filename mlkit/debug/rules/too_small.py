"""`model.too-small`: the model cannot memorise one batch, and a wider one can."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site
from mlkit.debug.symptom import symptom_of


@rule("model.too-small")
def check(facts: Facts) -> Iterator[Finding]:
    """Everything goes through a layer that is too narrow for the number of classes.

    Through one number a linear output can order the classes along a line, and no more. The loss falls a little and
    stays.

    Evidence, from two trials on the first batch: this model, trained by Adam without dropout, does not memorise it; a
    wide head on the very values that enter the narrow layer does.

    Buggy::

        self.embed, self.classify = nn.Linear(512, 1), nn.Linear(1, 10)

    Fixed::

        self.embed, self.classify = nn.Linear(512, 48), nn.Linear(48, 10)

    Healthy look-alikes: autoencoders, whose narrow middle is the point (only classifiers are looked at); models that
    memorise in spite of it.

    Seen in: DeepFD's "layer properties"; Stack Overflow 46995209, 50079585.
    """
    told = facts.probe("train/capacity")
    own, wide, first = (told.get(one) for one in ("own", "wide", "first"))
    if not isinstance(own, float) or not isinstance(wide, float) or not isinstance(first, float):
        return
    if own < 0.3 * first or wide > 0.15 * first or wide > 0.3 * own or symptom_of(facts) == "explodes":
        return
    site = told.get("site")
    yield Finding(
        "model.too-small",
        f"a layer of {told['width']} unit(s) is too narrow for {told['classes']} classes: the model cannot "
        "even memorise a batch",
        severity="warning",
        site=site if isinstance(site, Site) else None,
        evidence={
            "layer": str(told["name"]),
            "width": told["width"],  # type: ignore[dict-item]
            "first loss": float(f"{first:.4g}"),
            "loss on one batch, trained": float(f"{own:.4g}"),
            "the same with a wide head in its place": float(f"{wide:.4g}"),
        },
        mechanism="all that is known of a sample goes through a few numbers → classes cannot be told apart → "
        "the loss stays high",
        fix="make the layer wider",
        confidence=0.85,
        explains=("step.learning-rate-too-low",),
    )
