"""`loss.label-shift`: next-step labels shifted twice, or not at all.

Not here: a model that sees the future (`model.future-leak`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.rules import rule
from mlkit.debug.rules.loss_facts import measured, number, place


@rule("loss.label-shift")
def check(facts: Facts) -> Iterator[Finding]:
    """The labels of a next-token model are not the next tokens.

    Exactly one shift is due: the output at position t is compared with token t + 1. Without a shift it is compared with
    the token that was just put in, and the model learns to copy: the loss goes to 0. Where both the data and the loss
    shift, it is compared with token t + 2: the loss falls, but stays higher, and the model skips a word.

    Proof: the gradient tells the last input token on which a prediction depends, and comparing labels with inputs tells
    which token it is asked for. The distance must be 1. Models that see all tokens (masked language models, encoders
    with labels for each token) are quiet, and so are programs of which one head predicts the next token.

    Buggy::

        x, y = tokens[:, :-1], tokens[:, 1:]
        loss = F.cross_entropy(model(x)[:, :-1].flatten(0, 1), y[:, 1:].flatten())

    Fixed::

        x, y = tokens[:, :-1], tokens[:, 1:]
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())

    Seen in: huggingface/transformers#47394 and its cure #47395; #37830, #27517.
    """
    for found in measured(facts, "shift"):
        horizon = found["horizon"]
        if horizon == 1:
            return
    for found in measured(facts, "shift"):
        horizon = found["horizon"]
        is_copy = horizon <= 0
        yield Finding(
            "loss.label-shift",
            "labels are not shifted: each prediction is compared with a token that the model was just given"
            if is_copy
            else f"labels are shifted {horizon} times: each prediction is compared with the token {horizon} "
            f"places ahead",
            site=place(found) if is_copy else place(found, "label_site") or place(found),
            evidence={
                "places ahead": horizon,
                "labels that equal that input token": number(found["agree"]),
                "labels compared": found["positions"],
            },
            mechanism="the answer is among the inputs → the model learns to copy → the loss goes to 0 and "
            "nothing is learned"
            if is_copy
            else "the data and the loss both shift → the model learns to skip a token → the loss stays higher, "
            "text is scrambled",
            fix="compare logits[:, :-1] with tokens[:, 1:]"
            if is_copy
            else "shift once: leave out one of the two slices",
            confidence=0.96,
            explains=("loss.starts-far-from-chance", "model.future-leak"),
        )
        return
