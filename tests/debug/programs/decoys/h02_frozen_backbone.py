"""Transfer learning: features learnt on the digits 0-4, a new head for the digits 5-9."""
# case: H02
# codes: none
# split: held-out

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = 0
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


class Transfer(nn.Module):
    """A fixed feature extractor and a linear classifier on top of it."""

    def __init__(self, backbone, n_classes):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(128, n_classes)
        for p in self.backbone.parameters():
            p.requires_grad = False

    def train(self, mode=True):
        super().train(mode)
        self.backbone.eval()  # the backbone stays as it was trained
        return self

    def forward(self, x):
        return self.head(self.backbone(x))


def make_backbone():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(),
    )  # fmt: skip


def fit(model, x, y, epochs, lr):
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.Adam(params, lr=lr)
    for epoch in range(epochs):
        model.train()
        losses = []
        for idx in torch.randperm(len(x)).split(32):
            loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            losses.append(loss.item())
        print(f"  epoch {epoch} loss {np.mean(losses):.4f}")


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


images, labels = load_digits(return_X_y=True)
order = rng.permutation(len(images))
images = torch.tensor(images[order], dtype=torch.float32).view(-1, 1, 8, 8) / 8 - 1
labels = torch.tensor(labels[order])
low, high = labels < 5, labels >= 5

source = nn.Sequential(make_backbone(), nn.Linear(128, 5))
print("source task")
fit(source, images[low], labels[low], epochs=8, lr=3e-3)

x, y = images[high], labels[high] - 5
n_train = int(0.7 * len(x))
model = Transfer(source[0], 5)
print("target task, head only")
fit(model, x[:n_train], y[:n_train], epochs=20, lr=5e-3)
print(f"validation accuracy {accuracy(model, x[n_train:], y[n_train:]):.3f}")
