"""`shape.samples-mixed`, `shape.batch-first`, `shape.softmax-axis`: one sample's output depends on other samples.

Not here: losses that compare samples on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlkit.debug.facts import Facts
from mlkit.debug.findings import Finding
from mlkit.debug.held import scenes
from mlkit.debug.rules import rule

RECURRENT = ("LSTM", "GRU", "RNN")


@rule("shape.samples-mixed", "shape.batch-first", "shape.softmax-axis")
def check(facts: Facts) -> Iterator[Finding]:
    """The output for one sample depends on the other samples of its batch.

    In evaluation mode each sample's output must be a function of that sample alone. Where it is not, an axis was
    confused: a `view` where a transpose was due, a softmax or mean over the batch, a recurrent or attention layer that
    takes the batch for time. Training still lowers the loss, since the model learns to live with its neighbours.

    Proof: in a copy of the program all samples but one were replaced; the output of the one that stayed changed. The op
    named is the first whose result for that sample moves, in every way in which the sample may lie in it.

    Buggy::

        self.lstm = nn.LSTM(features, hidden)          # and x is (batch, time, features)
        h = h_n.view(batch, -1)                        # h_n is (layers, batch, hidden)
        p = scores.softmax(0)

    Fixed::

        self.lstm = nn.LSTM(features, hidden, batch_first=True)
        h = h_n.transpose(0, 1).reshape(batch, -1)
        p = scores.softmax(-1)

    Healthy look-alikes: BatchNorm in training mode (it is looked at in evaluation mode); graph networks (an adjacency
    or list of edges is among the inputs); contrastive models, whose scores are batch by batch.

    Seen in: yunjey/pytorch-tutorial#89; zhouhaoyi/Informer2020#59; timbmg/Sentence-VAE#15; PetrochukM/PyTorch-NLP#2.
    """
    for _, seen in scenes(facts, "independence"):
        if not seen.get("is_mixed"):
            continue
        op, module, kind = str(seen["op"]), str(seen["module"]), str(seen["module_kind"])
        evidence = {"batch": seen["batch_size"], "first op that mixes": op, "its input": seen["shape"]}
        if (
            kind in RECURRENT
            or op in ("lstm", "gru", "rnn_tanh", "rnn_relu")
            or "Attention" in kind
            or kind in (*("TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder", "Transformer"),)
        ):
            yield Finding(
                "shape.batch-first",
                f"{module or kind} takes the batch axis for time: it was built without batch_first=True and gets "
                f"{seen['shape']}",
                site=seen["module_site"] or seen["site"],
                evidence=evidence,
                mechanism="the layer runs along the batch → each sample sees the samples before it, and its own time "
                "steps are strangers to each other → it learns something, but not the sequence",
                fix=f"nn.{kind or 'LSTM'}(…, batch_first=True)   # and take the last step as out[:, -1]",
                confidence=0.97,
                explains=("shape.*", "model.*", "loss.starts-far-from-chance", "step.learning-rate-too-low"),
            )
        elif op in ("softmax", "log_softmax", "softmin") and seen["over_batch"]:
            yield Finding(
                "shape.softmax-axis",
                f"{op} runs over the batch axis of {seen['shape']}: samples compete with each other, not classes",
                site=seen["site"],
                evidence=evidence,
                mechanism="normalised over samples → a sample's probability depends on its neighbours → the first loss "
                "is near ln(batch), and predictions change with the batch",
                fix=f"{op}(dim=-1)",
                confidence=0.98,
                explains=("shape.*", "loss.*", "model.*", "step.learning-rate-too-low"),
            )
        else:
            yield Finding(
                "shape.samples-mixed",
                f"the output of one sample depends on the others in its batch: {op} mixes them first",
                site=seen["site"],
                evidence={**evidence, "its output": seen["output_shape"]},
                mechanism="an axis was confused → samples exchange values → predictions change with the neighbours in "
                "the batch, and validation is not what training was",
                fix="transpose or permute before the reshape; reduce over dim=1, not dim=0",
                confidence=0.95,
                explains=(
                    "shape.layout-scrambled",
                    "model.*",
                    "loss.starts-far-from-chance",
                    "step.learning-rate-too-low",
                ),
            )
        return
