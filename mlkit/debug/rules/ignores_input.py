"""`model.ignores-input`: the output does not depend on the input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.ignores-input")
def check(facts: Facts) -> Iterator[Finding]:
    """Whatever is fed to the model, its output is the same.

    A constant went in where the data was due, a state was replaced by zeros, or the features are lost on the way. The
    best that such a model can do is the mean of the targets, or the frequencies of the labels: there the loss stops.

    Proof: in a copy of the program the inputs were exchanged for those of other samples, with noise added; the
    prediction stayed the same to the last bit but one, also after the copy had been trained for a few steps (a last
    layer of zeros starts so, and is healthy).

    Buggy::

        decoded, _ = self.decoder(steps, torch.zeros_like(state))

    Fixed::

        decoded, _ = self.decoder(steps, state)

    Healthy look-alikes: last layers that start at zero; models without input, that fit parameters only.

    Seen in: Stack Overflow 55718408, and the family of "predicts the same class for every input".
    """
    for _, told in scenes(facts, "input_use"):
        if "depends" not in told:
            continue
        site = told.get("lost_at") or told.get("made_at") or told.get("site")
        if told["depends"] is False and told.get("known"):
            yield Finding(
                "model.ignores-input",
                "the prediction does not depend on the input: with other samples it is exactly the same",
                site=site if isinstance(site, Site) else None,
                evidence={"rows exchanged": told["rows"], "also after steps of training": told["steps"]},
                mechanism="the input is lost on the way → one answer for every sample → the loss stops at that "
                "of the best "
                "constant",
                fix="follow the input through forward: something else is handed on in its place",
                confidence=0.98,
                explains=(
                    "step.learning-rate-too-low",
                    "model.unused-module",
                    "step.parameter-not-optimised",
                    "step.graph-cut",
                    "model.too-small",
                    "model.vanishing-gradient",
                    "loss.mismatched-task",
                ),
            )
            return
        idle = told.get("idle")
        if isinstance(idle, Mapping):
            yield Finding(
                "model.ignores-input",
                f"the loss does not depend on an input of shape {idle['shape']}, although layers of the model read it",
                severity="warning",
                site=idle["site"] if isinstance(idle["site"], Site) else None,
                evidence={"input": str(idle["shape"]), "rows exchanged": told["rows"]},
                mechanism="what the layers make of it is dropped on the way → it might as well not be there",
                fix="hand on what these layers return",
                confidence=0.8,
                explains=("model.unused-module", "step.parameter-not-optimised", "step.graph-cut"),
            )
            return
        if told["constant"] is True:
            yield Finding(
                "model.ignores-input",
                f"all {told['rows']} rows of the model's input are the same, and their targets are not",
                severity="warning",
                site=told["site"] if isinstance(told["site"], Site) else None,
                evidence={"rows": told["rows"]},
                mechanism="the same input for every sample → the same answer → the loss stops at that of the "
                "best constant",
                fix="give the batch to the model",
                confidence=0.85,
                explains=("data.constant-feature", "step.learning-rate-too-low"),
            )
            return
