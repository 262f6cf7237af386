"""Residual blocks, with batch normalisation or without any, and their shortcuts.

Not here: how blocks are stacked and initialised (`mlkit.models.resnet`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Normalization = Literal["batch", "none"]
Shortcut = Literal["pad", "projection"]


class Scale(nn.Module):
    """Multiplies by one learnable number; stands where the last norm of a branch would."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class PadShortcut(nn.Module):
    """Option A of He et al., 2016: every other pixel, and zeros for the channels that are new; no parameters."""

    def __init__(self, stride: int, new_channels: int) -> None:
        super().__init__()
        self.stride, self.new_channels = stride, new_channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def conv(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, normalization: Normalization
) -> nn.Conv2d:
    """A convolution that keeps the size (divided by ``stride``); without a bias where a norm follows and has one."""
    bias = normalization == "none"
    return nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=bias)


def norm(channels: int, normalization: Normalization, *, ends_branch: bool = False) -> nn.Module:
    """What follows a convolution: batch normalisation; or nothing, and at the end of a branch one factor."""
    if normalization == "batch":
        return nn.BatchNorm2d(channels)
    return Scale() if ends_branch else nn.Identity()


def _shortcut(
    in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, normalization: Normalization
) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    if shortcut == "pad":
        return PadShortcut(stride, out_channels - in_channels)
    layers: list[nn.Module] = [conv(in_channels, out_channels, 1, stride=stride, normalization=normalization)]
    if normalization == "batch":
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Each ReLU is a module of its own, so that a hook sees each activation, and none works in place: what a hook kept of
    a norm's output would change, and full backward hooks would fail.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self, in_channels: int, width: int, *, stride: int, shortcut: Shortcut, normalization: Normalization
    ) -> None:
        super().__init__()
        self.conv1 = conv(in_channels, width, 3, stride=stride, normalization=normalization)
        self.bn1 = norm(width, normalization)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.conv2 = conv(width, width, 3, normalization=normalization)
        self.bn2 = norm(width, normalization, ends_branch=True)
        self.downsample = _shortcut(in_channels, width, stride, shortcut, normalization)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + (x if self.downsample is None else self.downsample(x))
        activation: Tensor = self.relu2(out)
        return activation

    def branch(self) -> tuple[nn.Conv2d, ...]:
        """The branch's convolutions, in order."""
        return self.conv1, self.conv2

    def last_norm(self) -> nn.Module:
        """The norm that ends the branch."""
        return self.bn2


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; the 3x3 has the stride, as in torchvision (ResNet v1.5)."""

    expansion: ClassVar[int] = 4

    def __init__(
        self, in_channels: int, width: int, *, stride: int, shortcut: Shortcut, normalization: Normalization
    ) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = conv(in_channels, width, 1, normalization=normalization)
        self.bn1 = norm(width, normalization)
        self.conv2 = conv(width, width, 3, stride=stride, normalization=normalization)
        self.bn2 = norm(width, normalization)
        self.conv3 = conv(width, out_channels, 1, normalization=normalization)
        self.bn3 = norm(out_channels, normalization, ends_branch=True)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.downsample = _shortcut(in_channels, out_channels, stride, shortcut, normalization)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out = out + (x if self.downsample is None else self.downsample(x))
        activation: Tensor = self.relu3(out)
        return activation

    def branch(self) -> tuple[nn.Conv2d, ...]:
        """The branch's convolutions, in order."""
        return self.conv1, self.conv2, self.conv3

    def last_norm(self) -> nn.Module:
        """The norm that ends the branch."""
        return self.bn3
