"""`model.future-leak`: the output at one time depends on later inputs."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site


@rule("model.future-leak")
def check(facts: Facts) -> Iterator[Finding]:
    """A model that is trained to predict the next step sees it.

    The target at step t is the input at step t + 1. Where the output at t depends on that input the task is copying:
    the loss collapses, on random data even, and at generation, where there is no future, the model is lost.

    Proof: the targets are the inputs one step on; in evaluation mode the inputs after one step were exchanged, and
    the outputs up to that step changed. The op named is the first in which the past moves.

    Buggy::

        mask = torch.triu(torch.ones(t, t), diagonal=2).bool()
        nn.LSTM(32, 64, bidirectional=True)
        nn.Conv1d(32, 32, 3, padding=1)

    Fixed::

        mask = torch.triu(torch.ones(t, t), diagonal=1).bool()
        nn.LSTM(32, 64)
        nn.Conv1d(32, 32, 3)       # on F.pad(x, (2, 0))

    Healthy look-alikes: encoders, masked language models, taggers: their targets are not the inputs of the next step.

    Seen in: huggingface/transformers#48745, #31673.
    """
    for _, told in scenes(facts, "causality"):
        if not told.get("leaks"):
            continue
        site, op = told.get("site"), str(told["op"])
        yield Finding(
            "model.future-leak",
            f"the model predicts the next step and sees it: its output depends on later inputs, first in {op}",
            site=site if isinstance(site, Site) else None,
            evidence={
                "steps": told["steps"],
                "step after which the input was exchanged": told["cut"],
                "first op in which earlier steps moved": op,
                "module": told["module"],
                "has a mask": told["masked"],
            },
            mechanism="the answer is among the inputs → the model copies it → a loss that is too good, and "
            "nonsense when it "
            "generates",
            fix="mask everything after the step itself: torch.triu(torch.ones(t, t), diagonal=1).bool(), "
            "is_causal=True; one "
            "direction; padding on the left only",
            confidence=0.98,
            explains=("loss.label-shift", "shape.samples-mixed", "shape.batch-first"),
        )
        return
