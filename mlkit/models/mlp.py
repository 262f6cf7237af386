"""The multi-layer perceptron: one hidden layer by default, the baseline for vectors and tables.

Not here: models that know of space or time (`mlkit.models.lenet`, `mlkit.models.lstm`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from mlkit.errors import ModelError, Problem
from mlkit.models.checks import choice, count, counts, probability, refuse
from mlkit.models.init import ACTIVATIONS, Activation, initialize, seeded

Normalization = Literal["none", "batch", "layer"]
_NORMALIZATIONS = {"none": None, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(nn.Module):
    """Dense layers over the flattened numbers of an example and the embeddings of its categories; see `mlp`."""

    def __init__(
        self,
        in_features: int,
        num_outputs: int,
        *,
        hidden: Sequence[int],
        activation: Activation,
        dropout: float,
        normalization: Normalization,
        cardinalities: Sequence[int],
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.embeddings = nn.ModuleList(nn.Embedding(n, embedding_dim(n)) for n in cardinalities)
        width = in_features + sum(embedding_dim(n) for n in cardinalities)
        self.hidden = nn.Sequential()
        for number, units in enumerate(hidden):
            self.hidden.add_module(str(number), _block(width, units, activation, dropout, normalization))
            width = units
        self.head = nn.Linear(width, num_outputs)
        initialize(self, activation=activation, head=self.head)

    def forward(self, x: Tensor, categorical: Tensor | None = None) -> Tensor:
        """Logits or regression outputs ``(N, num_outputs)``.

        Args:
            x: numbers ``(N, ...)``, flattened to ``(N, in_features)``.
            categorical: category indices ``(N, len(cardinalities))``, int64; only with cardinalities.

        Raises:
            ModelError: the batch does not have the features that the model was built for.
        """
        x = x.flatten(1) if x.ndim > 1 else x[:, None]
        found = 0 if categorical is None else categorical.shape[-1]
        if x.shape[1] != self.in_features or found != len(self.embeddings):
            raise ModelError(
                "the batch does not fit the model",
                received=f"{x.shape[1]} numbers and {found} categories an example",
                allowed=f"{self.in_features} numbers and {len(self.embeddings)} categories",
                todo="build the model for this data: mlkit.models.build('mlp', bundle.task)",
            )
        if categorical is not None:
            x = torch.cat([x, *(table(categorical[:, k]) for k, table in enumerate(self.embeddings))], dim=1)
        logits: Tensor = self.head(self.hidden(x))
        return logits


def _block(
    width: int, units: int, activation: Activation, dropout: float, normalization: Normalization
) -> nn.Sequential:
    norm = _NORMALIZATIONS[normalization]
    block = nn.Sequential()
    block.add_module("linear", nn.Linear(width, units, bias=norm is None))  # a norm brings its own bias
    if norm is not None:
        block.add_module("norm", norm(units))
    block.add_module("activation", ACTIVATIONS[activation]())
    if dropout:
        block.add_module("dropout", nn.Dropout(dropout))
    return block


def mlp(
    in_features: int,
    num_outputs: int,
    *,
    hidden: Sequence[int] = (128,),
    activation: Activation = "relu",
    dropout: float = 0.0,
    normalization: Normalization = "none",
    cardinalities: Sequence[int] = (),
    seed: int | None = None,
) -> MLP:
    """A network of dense layers; with categories, each column is embedded and joined to the numbers.

    Args:
        in_features: numbers in an example, all axes flattened together; may be 0 when there are categories.
        num_outputs: classes or target columns.
        hidden: units of each hidden layer; more units or layers fit more, and overfit more. ``()`` is a linear model.
        activation: after each hidden layer; also decides the initialisation (ReLU and GELU He, tanh Glorot).
        dropout: probability of dropping a hidden unit while training; raise it against overfitting.
        normalization: between a dense layer and its activation: ``"none"``, ``"batch"`` or ``"layer"``.
        cardinalities: number of distinct values of each categorical column; see `embedding_dim` for their width.
        seed: key of the initial weights; None draws from torch's global generator.

    Raises:
        ConfigError: settings that cannot be right, all at once.

    >>> model = mlp(784, 10, hidden=(300, 100), seed=0)
    >>> model(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    >>> sum(p.numel() for p in model.parameters())
    266610
    """
    refuse(
        count("in_features", in_features, least=0),
        count("num_outputs", num_outputs),
        *counts("hidden", hidden),
        *counts("cardinalities", cardinalities),
        choice("activation", activation, ACTIVATIONS),
        choice("normalization", normalization, _NORMALIZATIONS),
        probability("dropout", dropout),
        Problem("a model without inputs", received="in_features=0 and no cardinalities")
        if in_features == 0 and not cardinalities
        else None,
    )
    return seeded(
        lambda: MLP(
            in_features,
            num_outputs,
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            normalization=normalization,
            cardinalities=cardinalities,
        ),
        seed=seed,
    )


def embedding_dim(cardinality: int) -> int:
    """Width of the embedding of a category: ``min(600, round(1.6 * cardinality ** 0.56))``.

    The rule of fastai's tabular learner (`fastai.tabular.model.emb_sz_rule`), fitted by its authors to what did well.

    >>> [embedding_dim(n) for n in (2, 10, 100, 100_000)]
    [2, 6, 21, 600]
    """
    return min(600, round(1.6 * math.pow(cardinality, 0.56)))
