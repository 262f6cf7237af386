"""Diagnose turbine bearings from vibration spectra with random gain and random frequency masks while training."""
# case: D13
# codes: data.augmentation-lost
# split: held-out

import dataclasses
from typing import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

SEED = 0
BINS, STATES = 96, 5


def spectra(count):
    state = torch.randint(STATES, (count,))
    grid = torch.arange(BINS).float()
    x = 0.3 * torch.randn(count, BINS)
    for harmonic in (1, 2, 3):
        centre = (8 + 4 * state.float() + 0.9 * torch.randn(count)) * harmonic
        x += (0.5 + torch.rand(count, 1)) * torch.exp(-((grid - centre[:, None]) ** 2) / 4)
    return x, state


def random_mask(x):
    start = torch.randint(BINS - 10, ()).item()
    x = x * (0.7 + 0.6 * torch.rand(()))
    x[start : start + 10] = 0
    return x


@dataclasses.dataclass
class Recordings:
    x: torch.Tensor
    state: torch.Tensor
    transform: Callable | None = None

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = self.x[i]
        return (self.transform(x) if self.transform else x), self.state[i]


def loaders():
    recordings = Recordings(*spectra(700), transform=random_mask)
    mixed = torch.randperm(len(recordings))
    train = Subset(recordings, mixed[:500])
    valid = Subset(recordings, mixed[500:])  #! valid = Subset(dataclasses.replace(recordings), mixed[500:])
    valid.dataset.transform = None  #@
    return DataLoader(train, batch_size=25, shuffle=True, drop_last=True), DataLoader(valid, batch_size=200)


def main():
    torch.manual_seed(SEED)
    train, valid = loaders()
    net = nn.Sequential(nn.Linear(BINS, 128), nn.ELU(), nn.Linear(128, 64), nn.ELU(), nn.Linear(64, STATES))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for epoch in range(15):
        total = 0.0
        for x, state in train:
            net.train()
            loss = nn.functional.cross_entropy(net(x), state)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / len(train)
        net.eval()
        with torch.no_grad():
            (x, state), = valid
            logits = net(x)
        held = nn.functional.cross_entropy(logits, state).item()
        print(f"epoch {epoch:2d}  train {total:.3f}  valid {held:.3f}  right {(logits.argmax(1) == state).float().mean():.3f}")


main()
