"""Classify small colour images of shapes with a convolutional network."""
# case: S01
# codes: shape.layout-scrambled
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
SIZE = 16
SHAPES = ["square", "ring", "plus", "cross", "horizontal", "vertical", "stairs", "dots"]


def stencil(kind):
    """A 7x7 mask of one of the shapes."""
    i, j = np.mgrid[:7, :7]
    return {
        "square": (i > 0) & (i < 6) & (j > 0) & (j < 6),
        "ring": (i == 0) | (i == 6) | (j == 0) | (j == 6),
        "plus": (abs(i - 3) < 1) | (abs(j - 3) < 1),
        "cross": (i == j) | (i + j == 6),
        "horizontal": (i % 3) == 0,
        "vertical": (j % 3) == 0,
        "stairs": abs(i - j) < 2,
        "dots": (i % 2 == 0) & (j % 2 == 0),
    }[kind]


def draw(count, rng):
    """Pictures as an image library would give them: bytes, height x width x colour."""
    labels = rng.integers(0, len(SHAPES), count)
    pictures = rng.normal(90, 20, (count, SIZE, SIZE, 3))
    for picture, label in zip(pictures, labels, strict=True):
        top, left = rng.integers(0, SIZE - 6, 2)
        picture[top : top + 7, left : left + 7][stencil(SHAPES[label])] += rng.uniform(20, 70, 3)
    return np.clip(pictures, 0, 255).astype(np.uint8), labels


class ShapeImages(Dataset):
    def __init__(self, count, rng):
        self.pictures, self.labels = draw(count, rng)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        picture = torch.from_numpy(self.pictures[index])
        picture = picture.view(3, SIZE, SIZE)  #! picture = picture.permute(2, 0, 1)
        return (picture.float() / 255 - 0.4) / 0.15, int(self.labels[index])


class ShapeNet(nn.Sequential):
    def __init__(self, width=16):
        def stage(c_in, c_out):
            return [nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU(), nn.MaxPool2d(2)]

        layers = stage(3, width) + stage(width, 2 * width) + stage(2 * width, 2 * width)
        super().__init__(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(2 * width, len(SHAPES)))


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
train, val = DataLoader(ShapeImages(640, rng), 32, shuffle=True), DataLoader(ShapeImages(320, rng), 160)
net = ShapeNet()
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
for epoch in range(8):
    net.train()
    seen = hits = 0
    for x, y in train:
        out = net(x)
        loss = nn.functional.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen, hits = seen + len(y), hits + (out.argmax(1) == y).sum().item()
    net.eval()
    with torch.no_grad():
        right = sum((net(x).argmax(1) == y).sum().item() for x, y in val)
    print(f"epoch {epoch} loss {loss.item():.3f} train acc {hits / seen:.3f} val acc {right / 320:.3f}")
