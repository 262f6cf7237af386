"""The baseline models, their initialisation and their summary. Not here: the data they are trained on.

The factories are imported here and now, not when first used: a factory and its file share a name, and importing the
file later would put the module `mlkit.models.lenet` in the place of the function `lenet`. It costs a few milliseconds
beside torch, without which there is no model.
"""

from __future__ import annotations

from mlkit.models.auto import build, choose, model_options
from mlkit.models.example import example_inputs
from mlkit.models.init import initialize
from mlkit.models.lenet import lenet
from mlkit.models.lstm import lstm
from mlkit.models.mlp import mlp
from mlkit.models.resnet import resnet18, resnet20, resnet32, resnet34, resnet44, resnet50, resnet56, resnet110
from mlkit.models.summary import summary

__all__ = [
    "build",
    "choose",
    "example_inputs",
    "initialize",
    "lenet",
    "lstm",
    "mlp",
    "model_options",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet110",
    "summary",
]
