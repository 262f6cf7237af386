"""Pre-train a CNN on digits 0-4, then fit a new classifier for digits 5-9 on top of it."""
# case: O05
# codes: step.frozen-parameter-optimised, step.parameter-not-optimised
# split: rules

from collections import OrderedDict

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)


def loaders(classes):
    x, y = load_digits(return_X_y=True)
    keep = rng.permutation(np.flatnonzero(np.isin(y, classes)))
    x = torch.tensor((x[keep] / 16.0 - 0.3) / 0.37, dtype=torch.float32).reshape(-1, 1, 8, 8)
    y = torch.tensor(y[keep] - min(classes))
    cut = int(0.8 * len(x))
    return (DataLoader(TensorDataset(x[:cut], y[:cut]), 48, shuffle=True, drop_last=True),
            DataLoader(TensorDataset(x[cut:], y[cut:]), 256))


def build():
    features = nn.Sequential(OrderedDict(
        conv1=nn.Conv2d(1, 16, 3, padding=1, bias=False), bn1=nn.BatchNorm2d(16), act1=nn.ReLU(),
        conv2=nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), bn2=nn.BatchNorm2d(32), act2=nn.ReLU(),
        flat=nn.Flatten(),
    ))
    return nn.Sequential(OrderedDict(features=features, head=nn.Linear(32 * 16, 5)))


def run(model, optimizer, train, val, epochs, tag, fixed_features=False):
    for epoch in range(epochs):
        model.train()
        if fixed_features:
            model.features.eval()
        losses = []
        for x, y in train:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            hits = [(model(x).argmax(1) == y).float().mean().item() for x, y in val]
        print(f"{tag} epoch {epoch + 1}: loss {np.mean(losses):.3f}, val acc {np.mean(hits):.3f}")


model = build()
run(model, torch.optim.Adam(model.parameters(), lr=2e-3), *loaders(range(5)), epochs=4, tag="pretrain")

model.head = nn.Linear(32 * 16, 5)
for name, parameter in model.named_parameters():
    if "bn" not in name:  #! if not name.startswith("head"):
        parameter.requires_grad = False  #@
optimizer = torch.optim.Adam(model.head.parameters(), lr=2e-3)  #@
run(model, optimizer, *loaders(range(5, 10)), epochs=6, tag="transfer", fixed_features=True)
