"""Classify tiny pictures (bar, cross, box, dot) with a convolutional net; accuracy on a validation part."""
# case: double
# codes: data.inputs-labels-unpaired
# also: mode.evaluating-in-train
# split: rules

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
SIZE, KINDS = 12, 4


def draw(kind, rng):
    picture = rng.normal(0, 0.4, (SIZE, SIZE))
    r, c = rng.integers(2, SIZE - 3, 2)
    if kind == 0:
        picture[r, c - 2 : c + 3] += 1.5
    elif kind == 1:
        picture[r - 1 : r + 2, c] += 1.5
        picture[r, c - 1 : c + 2] += 1.5
    elif kind == 2:
        picture[r - 1 : r + 2, c - 1 : c + 2] += 1.5
        picture[r, c] -= 1.5
    else:
        picture[r : r + 2, c : c + 2] += 1.5
    return picture


def data(n, rng):
    labels = np.arange(n) % KINDS
    pictures = np.stack([draw(kind, rng) for kind in labels]).astype(np.float32)
    order = rng.permutation(n)
    return pictures[order], labels[rng.permutation(n)]  #! return pictures[order], labels[order]


def tensors(n, rng):
    pictures, labels = data(n, rng)  #@
    return TensorDataset(torch.from_numpy(pictures).unsqueeze(1), torch.from_numpy(labels))


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, KINDS),
    )


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
train_loader = DataLoader(tensors(1200, rng), batch_size=32, shuffle=True)
val_loader = DataLoader(tensors(320, rng), batch_size=64)
net, criterion = network(), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(8):
    net.train()
    for pictures, labels in train_loader:
        optimizer.zero_grad()
        loss = criterion(net(pictures), labels)
        loss.backward()
        optimizer.step()
    #+ net.eval()
    right = 0
    with torch.no_grad():  #@
        for pictures, labels in val_loader:
            right += (net(pictures).argmax(1) == labels).sum().item()  #@
    print(f"epoch {epoch}: loss {loss.item():.4f}, accuracy {right / len(val_loader.dataset):.3f}")
