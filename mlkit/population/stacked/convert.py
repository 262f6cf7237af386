"""Which layers can be stacked and by what; a model is copied and its leaf layers are replaced.

Not here: the layers themselves, and whether the members are alike (`mlkit.population.stacked.structure`).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from mlkit.models.blocks import Scale
from mlkit.population.stacked.convolutions import StackedConv
from mlkit.population.stacked.dropout import KeyedDropout, KeyedLSTM
from mlkit.population.stacked.errors import cannot_stack
from mlkit.population.stacked.fold import Fold, StackedLayer
from mlkit.population.stacked.layers import (
    StackedDropout,
    StackedEmbedding,
    StackedLinear,
    StackedPReLU,
    StackedScale,
)
from mlkit.population.stacked.norms import StackedBatchNorm, StackedGroupNorm, StackedLayerNorm
from mlkit.population.stacked.recurrent import StackedLSTM

_LAYERS: dict[type[nn.Module], type[StackedLayer]] = {
    nn.Linear: StackedLinear,
    nn.Conv1d: StackedConv,
    nn.Conv2d: StackedConv,
    nn.BatchNorm1d: StackedBatchNorm,
    nn.BatchNorm2d: StackedBatchNorm,
    nn.BatchNorm3d: StackedBatchNorm,
    nn.LayerNorm: StackedLayerNorm,
    nn.RMSNorm: StackedLayerNorm,
    nn.GroupNorm: StackedGroupNorm,
    nn.Embedding: StackedEmbedding,
    nn.Dropout: StackedDropout,
    KeyedDropout: StackedDropout,
    nn.LSTM: StackedLSTM,
    KeyedLSTM: StackedLSTM,
    nn.PReLU: StackedPReLU,
    Scale: StackedScale,
}


def supported() -> tuple[type[nn.Module], ...]:
    """Layers with parameters, buffers or randomness that can be stacked.

    All others without parameters (activations, pooling, containers, …) run as they are.
    """
    return tuple(_LAYERS)


def register_stacked(layer: type[nn.Module], stacked: type[StackedLayer]) -> None:
    """Say how a layer of one's own is stacked; for exactly this class, not for its subclasses.

    Args:
        layer: a class of layers.
        stacked: built as ``stacked(members, name, fold, tied)``; its ``forward`` takes what ``layer``'s does, with the
            members' examples one after the other.

    >>> from mlkit.population.stacked.layers import StackedLinear
    >>> class MyLinear(nn.Linear):
    ...     pass
    >>> register_stacked(MyLinear, StackedLinear)
    """
    _LAYERS[layer] = stacked


def convert(models: Sequence[nn.Module], fold: Fold) -> nn.Module:
    """A copy of the first model whose leaf layers hold all members.

    Args:
        models: alike (see `mlkit.population.stacked.structure.check_same`); unchanged.
        fold: what the layers share.

    Raises:
        CannotStackError: a layer that nothing here can stack.
    """
    template = copy.deepcopy(models[0])
    tied: dict[int, nn.Parameter] = {}
    stacked: dict[int, nn.Module] = {}

    def visit(copied: nn.Module, members: Sequence[nn.Module], name: str) -> nn.Module:
        original = members[0]
        if id(original) in stacked:  # a layer that the model uses under two names
            return stacked[id(original)]
        layer = _LAYERS.get(type(original))
        if layer is not None:
            stacked[id(original)] = layer(members, name, fold, tied)
            return stacked[id(original)]
        _check_rest(original, name)
        for key, child in list(copied.named_children()):
            path = f"{name}.{key}" if name else key
            copied._modules[key] = visit(child, [member.get_submodule(key) for member in members], path)
        stacked[id(original)] = copied
        return copied

    return visit(template, models, "")


def _check_rest(module: nn.Module, name: str) -> None:
    """Refuse what is not known to treat each example alone."""
    kind = type(module).__name__
    held = [key for part in (module._parameters, module._buffers) for key, value in part.items() if value is not None]
    if held and module._modules:
        raise cannot_stack(name, f"{kind} holds {held[0]!r} itself, beside its layers")
    if held:
        raise cannot_stack(name, f"{kind} is not known", todo="register_stacked, or another back end")
    over_batch = (
        (isinstance(module, nn.Flatten) and module.start_dim == 0)
        or (isinstance(module, (nn.Softmax, nn.LogSoftmax, nn.Softmin)) and module.dim == 0)
        or (isinstance(module, nn.Unflatten) and module.dim == 0)
    )
    if over_batch:
        raise cannot_stack(name, f"{kind} acts on the axis of the examples")
