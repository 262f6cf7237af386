"""Slips planted in torchvision's ResNets: how each is made, and where and how it has to be told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, ResNet


@dataclass(frozen=True)
class Slip:
    """One planted slip."""

    name: str
    plant: Callable[[ResNet], None]
    stage: str
    module: str
    how: str


def planted(reference: ResNet, slip: Slip) -> ResNet:
    """A copy with the slip in it."""
    mine = copy.deepcopy(reference)
    slip.plant(mine)
    return mine


def _set(path: str, **values: object) -> Callable[[ResNet], None]:
    def plant(model: ResNet) -> None:
        module = model.get_submodule(path)
        for name, value in values.items():
            setattr(module, name, value)

    return plant


def _swap(path: str, new: Callable[[], nn.Module]) -> Callable[[ResNet], None]:
    def plant(model: ResNet) -> None:
        parent, _, last = path.rpartition(".")
        setattr(model.get_submodule(parent), last, new())

    return plant


def _become(path: str, kind: type[nn.Module]) -> Callable[[ResNet], None]:
    def plant(model: ResNet) -> None:
        model.get_submodule(path).__class__ = kind

    return plant


class _Block(BasicBlock):
    """torchvision's block, in pieces that a slip can replace; without a shortcut of its own."""

    def inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(self.middle(self.relu(self.bn1(self.conv1(x))))))
        return out

    def middle(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.inner(x) + x)
        return out


class _NoShortcut(_Block):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.inner(x))
        return out


class _EarlyActivation(_Block):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.inner(x)) + x
        return out


class _Halved(_Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 2


class _Twice(_Block):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class _AlwaysDrops(_Block):
    def middle(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.2)


class _Detached(_Block):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.inner(x) + x.detach())
        return out


class _NoMiddleActivation(_Block):
    def inner(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        return out


class _AlwaysRunning(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class _Reversed(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(1))


class _Turned(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight.transpose(0, 1), self.bias, self.stride, self.padding)


def _freeze(model: ResNet) -> None:
    model.get_parameter("layer2.0.conv1.weight").requires_grad_(False)


EVAL, TRAIN = "evaluation mode", "training mode"
SLIPS = (
    Slip("epsilon", _set("layer2.0.bn1", eps=1e-3), EVAL, "layer2.0.bn1", "eps is 0.001 in place of 1e-05"),
    Slip("small epsilon", _set("layer4.1.bn2", eps=2e-5), EVAL, "layer4.1.bn2", "eps is 2e-05 in place of 1e-05"),
    Slip("momentum", _set("layer3.1.bn2", momentum=0.01), "buffers", "layer3.1.bn2", "momentum is 0.01"),
    Slip("gelu", _swap("layer2.1.relu", nn.GELU), EVAL, "layer2.1.relu", "GELU in place of ReLU"),
    Slip("leaky", _swap("layer1.0.relu", lambda: nn.LeakyReLU(0.01)), EVAL, "layer1.0.relu", "in place of ReLU"),
    Slip(
        "padding mode",
        _set("layer1.1.conv2", padding_mode="circular", _reversed_padding_repeated_twice=[1, 1, 1, 1]),
        EVAL,
        "layer1.1.conv2",
        "padding_mode is 'circular' in place of 'zeros'",
    ),
    Slip("padding", _set("conv1", padding=(2, 2)), EVAL, "conv1", "padding is (2, 2) in place of (3, 3)"),
    Slip(
        "dilation",
        _set("layer3.1.conv1", dilation=(2, 2), padding=(2, 2)),
        EVAL,
        "layer3.1.conv1",
        "dilation is (2, 2) in place of (1, 1)",
    ),
    Slip("stride", _set("layer4.0.conv1", stride=(1, 1)), EVAL, "layer4.0.conv1", "stride is (1, 1)"),
    Slip("no bias", _set("fc", bias=None), EVAL, "fc", "it has no bias, and the reference has one"),
    Slip("no shortcut", _become("layer2.1", _NoShortcut), EVAL, "layer2.1", "missing residual connection"),
    Slip("early activation", _become("layer3.1", _EarlyActivation), EVAL, "layer3.1", "relu is applied before"),
    Slip("no activation", _become("layer3.1", _NoMiddleActivation), EVAL, "layer3.1", "relu is left out"),
    Slip("halved", _become("layer3.1", _Halved), EVAL, "layer3.1", "it is scaled by 0.5"),
    Slip("shortcut twice", _become("layer1.1", _Twice), EVAL, "layer1.1", "is added to it once too often"),
    Slip("dropout in eval", _become("layer1.1", _AlwaysDrops), EVAL, "layer1.1", "random numbers in evaluation mode"),
    Slip("running in train", _become("layer1.1.bn1", _AlwaysRunning), TRAIN, "layer1.1.bn1", "what it should in eval"),
    Slip("detached", _become("layer3.1", _Detached), "gradients", "layer3.1", "residual path is missing"),
    Slip("frozen", _freeze, "gradients", "layer2.0.conv1", "it is frozen"),
    Slip("reversed", _become("fc", _Reversed), EVAL, "fc", "its input is reversed along axis 1"),
    Slip("transposed weight", _become("layer1.0.conv1", _Turned), EVAL, "layer1.0.conv1", "its weight is transposed"),
    Slip(
        "average pooling", _swap("maxpool", lambda: nn.AvgPool2d(3, 2, 1)), EVAL, "maxpool", "in place of MaxPool2d"
    ),
    Slip("ceil", _set("maxpool", ceil_mode=True), EVAL, "maxpool", "ceil_mode is True in place of False"),
    Slip("max of all", _swap("avgpool", lambda: nn.AdaptiveMaxPool2d(1)), EVAL, "avgpool", "in place of Adaptive"),
)  # fmt: skip


def reference_of(model: ResNet) -> ResNet:
    """The model with normalisers that are not at their start, where most of them do nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
    return model
