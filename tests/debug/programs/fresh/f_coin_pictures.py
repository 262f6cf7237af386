"""Coins lying at any angle: train with random quarter turns and mirror images, validate on the pictures as they are."""
# case: D13
# codes: data.augmentation-lost
# split: fresh
import copy

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset, Subset

SEED = 0


class Coins(Dataset):
    def __init__(self, pictures, worth, transform=None):
        self.pictures, self.worth, self.transform = pictures, worth, transform

    def __len__(self):
        return len(self.worth)

    def __getitem__(self, k):
        p = self.pictures[k]
        return (self.transform(p) if self.transform else p), self.worth[k]


def turn_and_flip(p):
    p = torch.rot90(p, int(torch.randint(4, ())), (1, 2))
    return p.flip(2) if torch.rand(()) < 0.5 else p


def as_is(p):
    return p


def stamp(n, rng):
    motifs = np.random.default_rng(7).random((4, 1, 10, 10)) < 0.35
    worth = rng.integers(0, 4, n)
    out = []
    for w in worth:
        p = motifs[w].astype(np.float32) * 1.0
        p = np.rot90(p, rng.integers(4), (1, 2))
        p = p[:, :, ::-1] if rng.random() < 0.5 else p
        out.append(p + rng.normal(0, 0.55, p.shape))
    return torch.tensor(np.stack(out), dtype=torch.float32), torch.tensor(worth)


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
coins = Coins(*stamp(420, rng), transform=turn_and_flip)
order = torch.randperm(len(coins)).tolist()
train, val = Subset(coins, order[:120]), Subset(coins, order[120:])  #! train, val = Subset(coins, order[:120]), Subset(copy.copy(coins), order[120:])
val.dataset.transform = as_is  #@
loader = DataLoader(train, batch_size=20, shuffle=True)  #@
net = nn.Sequential(nn.Flatten(), nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 4))
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(1, 61):
    net.train()
    tot = 0.0
    for p, w in loader:
        loss = nn.functional.cross_entropy(net(p), w)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / len(loader)
    if epoch % 10 == 0:
        net.eval()
        with torch.no_grad():
            acc = sum((net(p).argmax(1) == w).sum().item() for p, w in DataLoader(val, batch_size=150)) / len(val)
        print(f"epoch {epoch}: train loss {tot:.3f}, validation accuracy {acc:.3f}")
