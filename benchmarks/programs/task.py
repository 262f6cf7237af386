"""The work that all programs of `whole_run.py` do: LeNet on 10,000 images of MNIST for three epochs, then the test.

Not here: how each library does it; one program each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

EXAMPLES = 10_000
EPOCHS = 3
BATCH = 64
TEST_BATCH = 1000
LEARNING_RATE = 3e-4
MEAN, STD = 0.1307, 0.3081


def data_root() -> Path:
    """Folder of the data sets: MLKIT_DATA, default ../shared/data beside the checkout."""
    return Path(os.environ.get("MLKIT_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def lenet() -> nn.Module:
    """The layers of `mlkit.models.lenet`: pooling before ReLU, as there."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(6, 16, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16 * 5 * 5, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def datasets(kind: str) -> tuple[torch.utils.data.Dataset[tuple[Tensor, Tensor]], ...]:
    """Train and test as data sets.

    Args:
        kind: "torchvision" reads and transforms image by image, as most programs do; "tensors" holds ready float32
            tensors, the best that a library without batches of its own can be given.
    """
    if kind == "tensors":
        return tuple(torch.utils.data.TensorDataset(*tensors) for tensors in (tensors_of("train"), tensors_of("t10k")))
    from torchvision import transforms
    from torchvision.datasets import MNIST

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    train = MNIST(data_root(), train=True, transform=transform)
    return torch.utils.data.Subset(train, range(EXAMPLES)), MNIST(data_root(), train=False, transform=transform)


def tensors_of(part: str) -> tuple[Tensor, Tensor]:
    """Standardised images and labels of "train" (the first 10,000) or "t10k", straight from the files."""
    raw = data_root() / "MNIST" / "raw"
    images = np.fromfile(raw / f"{part}-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 1, 28, 28)[:EXAMPLES]
    labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", dtype=np.uint8)[8:][:EXAMPLES]
    x = torch.from_numpy(images).float().div_(255).sub_(MEAN).div_(STD)
    return x, torch.from_numpy(labels).long()


def loaders(kind: str) -> tuple[torch.utils.data.DataLoader[tuple[Tensor, Tensor]], ...]:
    """Train and test as loaders."""
    train, test = datasets(kind)
    return (
        torch.utils.data.DataLoader(train, batch_size=BATCH, shuffle=True),
        torch.utils.data.DataLoader(test, batch_size=TEST_BATCH),
    )


def accuracy_of(model: nn.Module, batches: torch.utils.data.DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Share of right answers."""
    model.eval()
    right = count = 0
    with torch.inference_mode():
        for x, y in batches:
            right += int((model(x).argmax(1) == y).sum())
            count += len(y)
    return right / count


def report(accuracy: float, *, steps: int, model: nn.Module) -> None:
    """Say what was done, for comparison."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(json.dumps({"accuracy": round(accuracy, 4), "steps": steps, "parameters": parameters}))
