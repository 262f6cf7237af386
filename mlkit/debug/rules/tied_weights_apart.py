"""`step.tied-weights-apart`: weights meant to be shared are two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule


@rule("step.tied-weights-apart")
def check(facts: Facts) -> Iterator[Finding]:
    """Weights that were to be one parameter are two, and drift apart.

    An output layer that shares the embedding's matrix must hold the same `Parameter`. A copy of it (``clone()``,
    ``copy_()``, a new ``nn.Parameter``) starts equal and is trained on its own; putting a new matrix into one of the
    two after they were tied leaves the other with the old one.

    Evidence: an embedding and a linear layer of one model (or two linear layers, one the transposed other) hold random
    values that are equal to the last bit, in two parameters; or two modules held one parameter, and now hold two of the
    same shape. Layers cloned by `copy.deepcopy` are of the same kind, and quiet.

    Buggy::

        self.head.weight = nn.Parameter(self.embedding.weight.clone())

    Fixed::

        self.head.weight = self.embedding.weight

    Seen in: facebookresearch/lingua#74; TransformerLensOrg/TransformerLens#1725.
    """
    for one, other, site in facts.broken_ties:
        yield _finding(one, other, site, {"once one object": True}, "shared one parameter once, and hold two now", 0.9)
        return
    for _, result in scenes(facts, "ties"):
        for pair in result.get("pairs", ()):
            yield _of_pair(pair)
            return


def _of_pair(pair: dict[str, Any]) -> Finding:
    how = "share their memory but are two parameters" if pair["shares_memory"] else "start equal to the last bit"
    evidence = {"equal values": pair["numbers"], "transposed": pair["transposed"], "one memory": pair["shares_memory"]}
    return _finding(pair["names"][0], pair["names"][1], pair["site"], evidence, how, 0.85)


def _finding(one: str, other: str, site: Any, evidence: dict[str, Any], how: str, confidence: float) -> Finding:
    return Finding(
        "step.tied-weights-apart",
        f"{one} and {other} {how}: they are trained apart, not tied",
        severity="warning",
        site=site,
        evidence=evidence,
        mechanism="a copy is a parameter of its own → each gets its own gradient and update → the two drift apart",
        fix=f"{other.partition('.')[2]} = {one.partition('.')[2]}   # the same nn.Parameter, not a copy",
        confidence=confidence,
    )
