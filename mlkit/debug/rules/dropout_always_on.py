"""`mode.dropout-always-on`: two evaluation passes over the same batch differ, since dropout does not stop.

Not here: models that are evaluated in the wrong mode (`evaluating_in_train`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

DROPPING = ("dropout", "dot_product_attention", "bernoulli")
VISIBLE = 1e-4
"""Relative movement of the output below which two passes count as equal (kernels may sum in another order)."""


@rule("mode.dropout-always-on")
def check(facts: Facts) -> Iterator[Finding]:
    """Dropout stays on in evaluation mode, so that two evaluation passes over one batch differ.

    ``F.dropout(x, p)`` drops in every mode unless it is told the mode; so does a mask drawn by hand. Validation is
    noisy and worse than the model, and the same input gets another answer at each call.

    Proof: the model was put in evaluation mode and called three times on the same batch, twice with one seed and once
    with another; only the seed changes the output, and an op that drops values ran.

    Buggy::

        h = F.dropout(h, 0.3)

    Fixed::

        h = F.dropout(h, 0.3, training=self.training)

    Healthy look-alikes: ``training=True`` written out, and repeated passes over one input (dropout as an ensemble);
    samplers that add noise by design (variational models, diffusion): no finding.

    Seen in: pytorch/pytorch#26338; rixwew/pytorch-fm#21; delip/PyTorchNLPBook#28; huggingface/transformers#33844.
    """
    for scene in ("eval", "train"):
        seen = facts.probe(f"{scene}/determinism")
        moved, same = seen.get("other_seed"), seen.get("same_seed")
        if not isinstance(moved, float) or not isinstance(same, float) or moved < VISIBLE or same > VISIBLE:
            continue
        culprit = _culprit(seen)
        if culprit is None or seen.get("still_training"):
            continue
        is_meant = _is_written_out(culprit["site"]) or any(
            one.repeats >= 2 and one.led_to_backward is False for one in facts.calls
        )
        yield Finding(
            "mode.dropout-always-on",
            "dropout stays on in evaluation mode: two evaluation passes over one batch give different answers",
            severity="info" if is_meant else "error",
            site=culprit["site"],
            evidence={"output moves by (share of its largest value)": moved, "with the same seed": same},
            mechanism="the call is not told the mode → values are dropped at validation too → noisy, worse scores",
            fix="F.dropout(x, p, training=self.training)   # or nn.Dropout, which follows the mode",
            confidence=0.97,
        )
        return


def _is_written_out(site: Site | None) -> bool:
    """Whether the person wrote ``training=True``: then it is meant."""
    return site is not None and re.search(r"training\s*=\s*True|,\s*True\s*[,)]", site.source) is not None


def _culprit(seen: Mapping[str, object]) -> Any:
    ops = seen.get("random_ops")
    if not isinstance(ops, list):
        return None
    drops = [one for one in ops if one["name"].rstrip("_").endswith(DROPPING)]
    return drops[0] if drops else None
