"""LeNet-5 (LeCun et al., 1998) with today's parts: ReLU, max-pooling, dense connections between the feature maps.

The first model for images; not here: deeper ones (`mlkit.models.resnet`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from mlkit.errors import ModelError
from mlkit.models.checks import choice, count, positive, probability, refuse, sides
from mlkit.models.init import ACTIVATIONS, Activation, initialize, seeded

KERNEL = 5
CELLS = 5  # a side of the last feature map of LeNet-5
WIDTHS = (6, 16, 120, 84)  # two convolutions, two dense layers, as published


class LeNet(nn.Module):
    """Two convolutions with pooling, two dense layers and the output layer; see `lenet`."""

    def __init__(
        self,
        num_classes: int,
        *,
        in_channels: int,
        image_size: tuple[int, int],
        widths: tuple[int, int, int, int],
        activation: Activation,
        dropout: float,
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        h, w = (_side(size) for size in image_size)
        conv1, conv2, dense1, dense2 = widths
        self.input_shape = (in_channels, *image_size)
        self.conv1 = nn.Conv2d(in_channels, conv1, KERNEL, padding=(h.pad1, w.pad1))
        self.pool1, self.act1 = nn.MaxPool2d((h.pool1, w.pool1)), act()
        self.conv2 = nn.Conv2d(conv1, conv2, KERNEL, padding=(h.pad2, w.pad2))
        self.pool2, self.act2 = nn.MaxPool2d((h.pool2, w.pool2)), act()
        self.fc1 = nn.Linear(conv2 * h.cells * w.cells, dense1)
        self.act3, self.dropout1 = act(), nn.Dropout(dropout)
        self.fc2 = nn.Linear(dense1, dense2)
        self.act4, self.dropout2 = act(), nn.Dropout(dropout)
        self.head = nn.Linear(dense2, num_classes)
        initialize(self, activation=activation, head=self.head)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(N, num_classes)`` of images ``(N, C, H, W)``.

        Raises:
            ModelError: the images do not have the shape that the model was built for.
        """
        if x.shape[1:] != self.input_shape:
            raise ModelError(
                "the images do not fit the model",
                received="x".join(map(str, x.shape[1:])),
                allowed="x".join(map(str, self.input_shape)) + " (channels, height, width)",
                todo="build it with lenet(in_channels=…, image_size=…) of the data",
            )
        # ReLU and tanh never decrease, so pooling first gives the same result and leaves them a quarter of the work.
        x = self.act1(self.pool1(self.conv1(x)))
        x = self.act2(self.pool2(self.conv2(x)))
        x = self.dropout1(self.act3(self.fc1(x.flatten(1))))
        x = self.dropout2(self.act4(self.fc2(x)))
        logits: Tensor = self.head(x)
        return logits


@dataclass(frozen=True)
class _Side:
    """The geometry along one side of the image."""

    pad1: int
    pool1: int
    pad2: int
    pool2: int
    cells: int


def _side(size: int) -> _Side:
    pad1 = 2 if size < 32 else 0  # 28 pixels are LeNet-5's 32 without their margin
    pool1 = 2 if size >= 16 else 1  # on 8x8 digits, pooling at once costs one point of accuracy
    map1 = (size + 2 * pad1 - KERNEL + 1) // pool1
    pad2 = 0 if map1 - KERNEL + 1 >= CELLS - 1 else 2
    map2 = map1 + 2 * pad2 - KERNEL + 1
    pool2 = max(1, round(map2 / CELLS))
    return _Side(pad1, pool1, pad2, pool2, cells=map2 // pool2)


def lenet(
    num_classes: int = 10,
    *,
    in_channels: int = 1,
    image_size: int | Sequence[int] = 28,
    width: float = 1.0,
    activation: Activation = "relu",
    dropout: float = 0.0,
    seed: int | None = None,
) -> LeNet:
    """LeNet-5: two 5x5 convolutions with pooling, then three dense layers.

    At 32 pixels, or at 28 with a margin of 2, the geometry is the published one: 5x5 cells before the dense layers.
    Other sizes are brought near it: the first convolution keeps the size below 32 pixels, the first pooling is left out
    below 16, and the second pooling leaves about five cells a side (8x8 digits end in 4x4 cells, 224 pixels in 5x5).

    Args:
        num_classes: number of outputs.
        in_channels: 1 for grey, 3 for colour.
        image_size: pixels a side, or ``(height, width)``.
        width: multiplies the published widths 6-16-120-84; wider fits more and costs its square in time.
        activation: after every layer but the last; also decides the initialisation (ReLU and GELU He, tanh Glorot).
        dropout: probability of dropping a unit of the dense layers while training.
        seed: key of the initial weights; None draws from torch's global generator.

    Raises:
        ConfigError: settings that cannot be right, all at once.

    >>> import torch
    >>> model = lenet(num_classes=10)
    >>> model(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    >>> sum(p.numel() for p in model.parameters())  # as LeCun et al., with full connections between the feature maps
    61706
    """
    refuse(
        count("num_classes", num_classes),
        count("in_channels", in_channels),
        *sides("image_size", image_size),
        choice("activation", activation, ACTIVATIONS),
        probability("dropout", dropout),
        positive("width", width),
    )
    height, breadth = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    conv1, conv2, dense1, dense2 = (max(1, round(width * units)) for units in WIDTHS)
    return seeded(
        lambda: LeNet(
            num_classes,
            in_channels=in_channels,
            image_size=(height, breadth),
            widths=(conv1, conv2, dense1, dense2),
            activation=activation,
            dropout=dropout,
        ),
        seed=seed,
    )
