"""`model.padding-dependence`: padding changes the answer."""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding, Severity
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule
from mlkit.debug.sites import Site

_RECURRENT = {"lstm", "gru", "rnn_tanh", "rnn_relu"}
_WINDOWS = {"conv1d", "conv2d", "max", "amax", "max_pool1d", "adaptive_max_pool1d"}


@rule("model.padding-dependence")
def check(facts: Facts) -> Iterator[Finding]:
    """The output for a sequence depends on how much padding follows it.

    Padding says nothing, so more of it must change nothing. Where a mean runs over it, an attention looks at it, or the
    last time step is taken and is a pad, the answer depends on the longest neighbour in the batch, and short sequences
    drown.

    Proof: a number fills the ends of rows and stands nowhere else, and it is looked up in a table. In evaluation mode
    the batch was padded further, or its short half was cut to what it needs: the outputs of the very same sequences
    changed, by a good part of how much samples differ at all.

    Buggy::

        pooled = features.mean(1)
        last = out[:, -1]

    Fixed::

        keep = (tokens != 0).unsqueeze(-1)
        pooled = (features * keep).sum(1) / keep.sum(1)
        last = out[torch.arange(len(out)), lengths - 1]

    Healthy look-alikes: causal models, whose steps do not see the padding behind them (only steps before the padding
    are compared); windows of convolutions with a maximum over time, which reach a little into it (worth knowing
    only).

    Seen in: bentrevett/pytorch-seq2seq#64; huggingface/transformers#17463; AI4Bharat/IndicBERT#20.
    """
    for _, told in scenes(facts, "padding"):
        change = told.get("change")
        if not isinstance(change, float) or change < 0.005:
            continue
        kinds = set(told["kinds"])
        is_window = bool(kinds & {"conv1d", "conv2d"}) and str(told.get("op", "")) in {*_WINDOWS, "relu", ""}
        severity: Severity = "error" if change > 0.02 else "warning"
        if told["per_step"]:
            severity = "warning" if change > 0.05 else "info"
        if is_window and not told["has_lengths"]:
            severity = "info"
        site, op = told.get("site"), str(told.get("op") or "")
        first = f": {op} takes it in first" if op else ""
        yield Finding(
            "model.padding-dependence",
            f"the output for a sequence depends on the padding behind it{first}",
            severity=severity,
            site=site if isinstance(site, Site) else None,
            evidence={
                "the padding is": told["pad"],
                "lengths": f"{told['shortest']} to {told['longest']} of {told['steps']}",
                "changed": told["how"],
                "change of the outputs, in units of their spread": round(change, 3),
                "lengths or a mask are given to the model": told["has_lengths"],
            },
            mechanism="padding is taken for content → the longest neighbour in the batch decides a sample's "
            "answer → short "
            "sequences are nearly random, and predictions change with the batch",
            fix="leave it out: a masked mean, key_padding_mask, pack_padded_sequence, or the last valid step: "
            "out[torch.arange(len(out)), lengths - 1]",
            confidence=0.96,
            explains=("loss.padding-counted", "model.ignores-input")
            if not told["per_step"]
            else ("model.ignores-input",),
        )
        return
