"""`model.state-leak`: state carried between unrelated batches."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.state-leak")
def check(facts: Facts) -> Iterator[Finding]:
    """The model keeps a state from one batch to the next, although the batches have nothing to do with each other.

    The hidden state that the last batch left is noise to the next one's samples. Predictions depend on the order of the
    batches; at validation the first one starts from the last training batch.

    Proof: in evaluation mode the same batch was given twice, another one between: the answers differ. At a later step
    of the program itself the state had come from an earlier one, and the batches are drawn in random order.

    Buggy::

        states, hidden = self.gru(window, self.hidden)
        self.hidden = hidden.detach()

    Fixed::

        states, _ = self.gru(window)

    Healthy look-alikes: stateful truncated back-propagation, where a batch continues the one before: read in order, or
    the state is reset between; running statistics, which evaluation does not move.

    Seen in: pytorch/pytorch#2769; sgadgil6/cnslab_fmri#4, #5; MorvanZhou/PyTorch-Tutorial#57.
    """
    first, later = facts.probe("train/state"), facts.probe("later/state")
    told = later or first
    remembers, handed = told.get("remembers") is True, later.get("handed") is True
    carried = later.get("carried") is True
    if not (remembers and carried) and not handed:
        return
    loaders = [one for one in facts.loaders.values() if one.role == "train" or (one.role is None and one.passes)]
    shuffled = any(one.shuffles for one in loaders) or bool(told.get("is_random_order"))
    severity: Severity = "error" if shuffled and remembers else "warning" if shuffled else "info"
    site = told.get("site") if remembers else None
    if site is None:
        site = next((call.site for call in facts.calls if call.led_to_backward), None)
    yield Finding(
        "model.state-leak",
        "the model carries its state from one batch to the next"
        + (", although the batches come in random order" if shuffled else ""),
        severity=severity,
        site=site if isinstance(site, Site) else None,
        evidence={
            "the same batch twice gives the same": not remembers,
            "state of an earlier step is used": carried or handed,
            "batches in random order": shuffled,
            "first op that differs": str(told.get("op", "")) or None,
        },
        mechanism="the state of strangers is the start of every sequence → predictions depend on the order of "
        "the batches "
        "→ noise in training, and other results at every evaluation",
        fix="start every batch afresh: states, _ = self.gru(window)",
        confidence=0.96 if remembers else 0.75,
        explains=("mode.dropout-always-on", "data.augmented-validation", "step.oscillating"),
    )
