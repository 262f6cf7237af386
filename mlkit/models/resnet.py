"""Residual networks (He et al., 2016): resnet20-110 for small images, and resnet18-50 as in torchvision.

Not here: pretrained weights; `load_state_dict` takes torchvision's, since names and shapes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from mlkit.errors import Problem
from mlkit.models.blocks import BasicBlock, Bottleneck, Normalization, Shortcut, conv, norm
from mlkit.models.checks import choice, count, refuse, sides
from mlkit.models.init import initialize, seeded

SMALL = 64  # below this many pixels a side, a stem that divides the size by four leaves too little to see

Block = type[BasicBlock] | type[Bottleneck]


class ResNet(nn.Module):
    """A stem, stages of residual blocks, average pooling and a dense layer; see `resnet18` and `resnet20`."""

    def __init__(
        self,
        block: Block,
        depths: Sequence[int],
        *,
        num_classes: int,
        in_channels: int,
        small_input: bool,
        first_width: int,
        shortcut: Shortcut,
        normalization: Normalization,
        zero_init_residual: bool,
    ) -> None:
        super().__init__()
        kernel, stride = (3, 1) if small_input else (7, 2)
        self.conv1 = conv(in_channels, first_width, kernel, stride=stride, normalization=normalization)
        self.bn1 = norm(first_width, normalization)
        self.relu = nn.ReLU()
        self.maxpool = nn.Identity() if small_input else nn.MaxPool2d(3, stride=2, padding=1)
        channels = first_width
        self.stages: list[str] = []
        for number, depth in enumerate(depths):
            width = first_width * 2**number
            stage = nn.Sequential()
            for position in range(depth):
                stride = 2 if number > 0 and position == 0 else 1
                stage.append(block(channels, width, stride=stride, shortcut=shortcut, normalization=normalization))
                channels = width * block.expansion
            self.stages.append(f"layer{number + 1}")
            self.add_module(self.stages[-1], stage)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialize(self, activation="relu", head=self.fc)
        if zero_init_residual:
            _scale_branches(self, factor=0.0)
        elif normalization == "none":
            _scale_branches(self, factor=len(self.blocks()) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, num_classes)`` of images ``(N, C, H, W)``, of any height and width."""
        logits: Tensor = self.fc(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: averages over the last feature maps, ``(N, channels)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return torch.flatten(self.avgpool(x), 1)

    def blocks(self) -> list[BasicBlock | Bottleneck]:
        """The residual blocks, from input to output."""
        return [module for module in self.modules() if isinstance(module, (BasicBlock, Bottleneck))]


@torch.no_grad()
def _scale_branches(model: ResNet, *, factor: float) -> None:
    """Multiply what each branch adds to its shortcut by ``factor``, by the weight of the norm that ends it.

    Factor 0 starts a block as its shortcut (Goyal et al., 2017, section 5.1). ``L ** -0.5`` for L blocks is SkipInit
    (De & Smith, 2020): a branch of He layers ends in twice the mean square that it is given, so each block adds at most
    2 / L of it, and all together, at any depth, multiply it by less than ``e ** 2``.
    """
    for block in model.blocks():
        block.last_norm().get_parameter("weight").fill_(factor)


class ImageNetFactory(Protocol):
    """Signature of `resnet18`, `resnet34` and `resnet50`."""

    def __call__(
        self,
        num_classes: int = 1000,
        *,
        in_channels: int = 3,
        image_size: int | Sequence[int] = 224,
        small_input: bool | None = None,
        normalization: Normalization = "batch",
        zero_init_residual: bool = False,
        seed: int | None = None,
    ) -> ResNet:
        """See `resnet18`."""


class CifarFactory(Protocol):
    """Signature of `resnet20`, `resnet32`, `resnet44`, `resnet56` and `resnet110`."""

    def __call__(
        self,
        num_classes: int = 10,
        *,
        in_channels: int = 3,
        shortcut: Shortcut = "pad",
        normalization: Normalization = "batch",
        zero_init_residual: bool = False,
        seed: int | None = None,
    ) -> ResNet:
        """See `resnet20`."""


def _imagenet(
    name: str, block: type[BasicBlock | Bottleneck], depths: Sequence[int], parameters: int
) -> ImageNetFactory:
    def factory(
        num_classes: int = 1000,
        *,
        in_channels: int = 3,
        image_size: int | Sequence[int] = 224,
        small_input: bool | None = None,
        normalization: Normalization = "batch",
        zero_init_residual: bool = False,
        seed: int | None = None,
    ) -> ResNet:
        refuse(
            *_problems(num_classes, in_channels, normalization),
            *sides("image_size", image_size),
        )
        smallest = min(image_size) if isinstance(image_size, Sequence) else image_size
        return seeded(
            lambda: ResNet(
                block,
                depths,
                num_classes=num_classes,
                in_channels=in_channels,
                small_input=smallest < SMALL if small_input is None else small_input,
                first_width=64,
                shortcut="projection",
                normalization=normalization,
                zero_init_residual=zero_init_residual,
            ),
            seed=seed,
        )

    return _named(factory, name, _IMAGENET_DOC.format(name=name, depths=tuple(depths), parameters=parameters))


def _cifar(name: str, depth: int, parameters: int) -> CifarFactory:
    def factory(
        num_classes: int = 10,
        *,
        in_channels: int = 3,
        shortcut: Shortcut = "pad",
        normalization: Normalization = "batch",
        zero_init_residual: bool = False,
        seed: int | None = None,
    ) -> ResNet:
        refuse(
            *_problems(num_classes, in_channels, normalization),
            choice("shortcut", shortcut, ("pad", "projection")),
        )
        return seeded(
            lambda: ResNet(
                BasicBlock,
                (depth, depth, depth),
                num_classes=num_classes,
                in_channels=in_channels,
                small_input=True,
                first_width=16,
                shortcut=shortcut,
                normalization=normalization,
                zero_init_residual=zero_init_residual,
            ),
            seed=seed,
        )

    return _named(factory, name, _CIFAR_DOC.format(name=name, depth=depth, parameters=parameters))


def _problems(num_classes: int, in_channels: int, normalization: str) -> list[Problem | None]:
    return [
        count("num_classes", num_classes),
        count("in_channels", in_channels),
        choice("normalization", normalization, ("batch", "none")),
    ]


F = TypeVar("F", ImageNetFactory, CifarFactory)


def _named(factory: F, name: str, doc: str) -> F:
    for attribute, value in (("__name__", name), ("__qualname__", name), ("__doc__", doc)):
        setattr(factory, attribute, value)
    return factory


_SHARED_DOC = """
        normalization: ``"batch"``, or ``"none"`` for SkipInit (De & Smith, 2020), which trains without any: examples
            stay independent of their neighbours, at the price of a slower start and a narrower range of learning rates.
        zero_init_residual: start every block as its shortcut (Goyal et al., 2017); may steady deep networks early on.
        seed: key of the initial weights; None draws from torch's global generator.

    Raises:
        ConfigError: settings that cannot be right, all at once.

    >>> sum(p.numel() for p in {name}().parameters())
    {parameters}
    """

_IMAGENET_DOC = (
    """{name} for ImageNet: {depths} blocks in four stages; parameters are named and shaped as in torchvision.

    Args:
        num_classes: number of outputs.
        in_channels: 1 for grey, 3 for colour.
        image_size: pixels a side, or ``(height, width)``; it decides the stem and nothing else.
        small_input: True: a stem of one 3x3 convolution, which keeps small images in sight; False: the published stem
            (7x7, stride 2, and max-pooling), which divides the size by 4; None: small below 64 pixels."""
    + _SHARED_DOC
)

_CIFAR_DOC = (
    """{name} for small images (He et al., 2016, section 4.2): stages of {depth} blocks with 16, 32 and 64 channels.

    Args:
        num_classes: number of outputs.
        in_channels: 1 for grey, 3 for colour.
        shortcut: where the size changes: ``"pad"`` is option A of the paper, without parameters, ``"projection"`` is
            option B, a 1x1 convolution."""
    + _SHARED_DOC
)

resnet18 = _imagenet("resnet18", BasicBlock, (2, 2, 2, 2), 11_689_512)
resnet34 = _imagenet("resnet34", BasicBlock, (3, 4, 6, 3), 21_797_672)
resnet50 = _imagenet("resnet50", Bottleneck, (3, 4, 6, 3), 25_557_032)
resnet20 = _cifar("resnet20", 3, 269_722)
resnet32 = _cifar("resnet32", 5, 464_154)
resnet44 = _cifar("resnet44", 7, 658_586)
resnet56 = _cifar("resnet56", 9, 853_018)
resnet110 = _cifar("resnet110", 18, 1_727_962)
