"""The LSTM for series and tokens, with padding done right: an example's output never depends on how it was padded.

Not here: padding itself (the data do that) and attention.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from mlkit.errors import ModelError, Problem
from mlkit.models.checks import choice, count, probability, refuse
from mlkit.models.init import initialize, seeded
from mlkit.task import TaskKind

Pooling = Literal["last", "mean"]


class LSTM(nn.Module):
    """Embedding of tokens, LSTM layers, pooling over time unless every step is an answer, output layer; see `lstm`."""

    def __init__(
        self,
        input_size: int,
        num_outputs: int,
        *,
        hidden: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        kind: TaskKind,
        pooling: Pooling,
        vocab_size: int | None,
    ) -> None:
        super().__init__()
        self.kind, self.pooling, self.input_size = kind, pooling, input_size
        self.embedding = None if vocab_size is None else nn.Embedding(vocab_size, input_size)
        self.encoder: nn.Module
        if bidirectional:
            self.encoder = BidirectionalLSTM(input_size, hidden, layers=layers, dropout=dropout)
        else:
            between = dropout if layers > 1 else 0.0
            self.encoder = nn.LSTM(input_size, hidden, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden if bidirectional else hidden, num_outputs)
        initialize(self, activation="tanh", head=self.head)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs ``(N, num_outputs)``, or logits of every step ``(N, T, num_outputs)`` for the next token.

        Args:
            x: values ``(N, T, C)``, or token indices ``(N, T)``.
            lengths: valid steps of each example, ``(N,)``, at least 1; what follows them is padding, whatever its
                content. None: all T.

        Raises:
            ModelError: the batch does not have the shape that the model was built for.
        """
        self._check(x)
        valid = None
        if lengths is not None:
            valid = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
            # Padding may hold anything, NaN too: 0 times NaN would reach the gradients, so it goes before it is used.
            x = x.masked_fill(~(valid if self.embedding is not None else valid[..., None]), 0)
            lengths = lengths.long().clamp(1, x.shape[1])  # an index out of range would end a GPU's process
        if self.embedding is not None:
            x = self.embedding(x.long())  # tokens may be stored as bytes, which an embedding refuses
        # One direction is causal: padding comes last, so no valid step can see it.
        steps = self.encoder(x, lengths) if isinstance(self.encoder, BidirectionalLSTM) else self.encoder(x)[0]
        features = steps if self.kind == "next_token" else self._pool(steps, lengths, valid)
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def _pool(self, steps: Tensor, lengths: Tensor | None, valid: Tensor | None) -> Tensor:
        if self.pooling == "mean":
            if lengths is None or valid is None:
                return steps.mean(1)
            return (steps * valid[..., None]).sum(1) / lengths[:, None]
        last = steps[:, -1] if lengths is None else _take_step(steps, lengths - 1)
        if not isinstance(self.encoder, BidirectionalLSTM):
            return last
        forward, _ = last.chunk(2, dim=-1)
        _, backward = steps[:, 0].chunk(2, dim=-1)  # the backward direction ends at the first step
        return torch.cat([forward, backward], dim=-1)

    def _check(self, x: Tensor) -> None:
        if self.embedding is None and (x.ndim != 3 or x.shape[-1] != self.input_size):
            allowed = f"(N, T, {self.input_size}) values"
        elif self.embedding is not None and (x.ndim != 2 or x.is_floating_point()):
            allowed = "(N, T) token indices"
        else:
            return
        raise ModelError("the batch does not fit the model", received=f"{tuple(x.shape)} {x.dtype}", allowed=allowed)


class BidirectionalLSTM(nn.Module):
    """Stacked layers of two LSTMs, the second of which reads each example backwards from its own last valid step.

    Reversing by index instead of packing keeps shapes fixed and reads no length on the host, for which a GPU would have
    to wait.
    """

    def __init__(self, input_size: int, hidden: int, *, layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [input_size] + [2 * hidden] * (layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.between = nn.ModuleList(nn.Dropout(dropout) for _ in sizes[1:])

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs of every step, ``(N, T, 2 * hidden)``: forwards, then backwards."""
        for number, (ahead, back) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if number > 0:
                x = self.between[number - 1](x)
            backward = _reverse(back(_reverse(x, lengths))[0], lengths)
            x = torch.cat([ahead(x)[0], backward], dim=-1)
        return x


def _reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """``x`` ``(N, T, C)`` with the valid steps of each example in reverse order and the padding where it was."""
    if lengths is None:
        return x.flip(1)
    step = torch.arange(x.shape[1], device=x.device)
    mirrored = lengths[:, None] - 1 - step
    index = torch.where(mirrored >= 0, mirrored, step)
    return x.gather(1, index[..., None].expand_as(x))


def _take_step(steps: Tensor, step: Tensor) -> Tensor:
    return steps.gather(1, step[:, None, None].expand(-1, 1, steps.shape[2])).squeeze(1)


def lstm(
    input_size: int | None,
    num_outputs: int,
    *,
    hidden: int = 128,
    layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    pooling: Pooling = "last",
    kind: TaskKind = "classification",
    vocab_size: int | None = None,
    embedding_dim: int | None = None,
    seed: int | None = None,
) -> LSTM:
    """An LSTM over a series of values or tokens.

    Input matrices start as Glorot, recurrent ones orthogonal, forget-gate biases at 1 (see `mlkit.models.init`).

    Args:
        input_size: values a step; None for tokens.
        num_outputs: classes, target columns, or vocabulary size.
        hidden: units of each layer and direction; more remember more, at a cost that grows with their square.
        layers: LSTMs stacked on each other.
        bidirectional: also read backwards; not for the next token, which it would see.
        dropout: probability of dropping a unit between layers and before the output layer while training, never on the
            recurrent connections (Zaremba et al., 2014).
        pooling: ``"last"``: the output at the last valid step (and the backward direction's at the first one);
            ``"mean"``: the average over valid steps, which eases long series whose evidence is spread out.
        kind: ``"classification"`` and ``"regression"`` answer once an example, ``"next_token"`` at every step.
        vocab_size: number of distinct tokens; None for values.
        embedding_dim: width of the token embedding; ``hidden`` when None.
        seed: key of the initial weights; None draws from torch's global generator.

    Raises:
        ConfigError: settings that cannot be right, all at once.

    >>> model = lstm(12, 9, hidden=32)
    >>> model(torch.zeros(4, 29, 12), torch.tensor([29, 20, 7, 1])).shape
    torch.Size([4, 9])
    >>> lstm(None, 65, vocab_size=65, kind="next_token")(torch.zeros(4, 50, dtype=torch.long)).shape
    torch.Size([4, 50, 65])
    """
    refuse(
        count("input_size", input_size) if vocab_size is None else count("vocab_size", vocab_size),
        None if embedding_dim is None else count("embedding_dim", embedding_dim),
        *_combinations(input_size, vocab_size, embedding_dim),
        *_next_token(kind, bidirectional, pooling),
        count("num_outputs", num_outputs),
        count("hidden", hidden),
        count("layers", layers),
        probability("dropout", dropout),
        choice("pooling", pooling, get_args(Pooling)),
        choice("kind", kind, get_args(TaskKind)),
    )
    embedded = hidden if embedding_dim is None else embedding_dim
    width = cast("int", input_size) if vocab_size is None else embedded
    return seeded(
        lambda: LSTM(
            width,
            num_outputs,
            hidden=hidden,
            layers=layers,
            bidirectional=bidirectional,
            dropout=dropout,
            kind=kind,
            pooling=pooling,
            vocab_size=vocab_size,
        ),
        seed=seed,
    )


def _combinations(
    input_size: int | None, vocab_size: int | None, embedding_dim: int | None
) -> tuple[Problem | None, Problem | None]:
    return (
        Problem(
            "values and tokens at once",
            received=f"input_size={input_size}, vocab_size={vocab_size}",
            allowed="input_size for a series of values, vocab_size for tokens",
            todo="give input_size=None for tokens; embedding_dim is the width of their embedding",
        )
        if input_size is not None and vocab_size is not None
        else None,
        Problem("an embedding of values", received=f"embedding_dim={embedding_dim}", allowed="only with vocab_size")
        if embedding_dim is not None and vocab_size is None
        else None,
    )


def _next_token(kind: TaskKind, bidirectional: bool, pooling: Pooling) -> tuple[Problem | None, Problem | None]:
    if kind != "next_token":
        return None, None
    return (
        Problem(
            "a bidirectional LSTM sees the token that it should predict",
            received="bidirectional=True, kind='next_token'",
            todo="leave bidirectional at False",
        )
        if bidirectional
        else None,
        Problem(
            "the next token is answered at every step, so there is nothing to pool",
            received="pooling='mean', kind='next_token'",
            todo="leave pooling at 'last'",
        )
        if pooling == "mean"
        else None,
    )
