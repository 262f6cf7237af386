"""Recognise the phase of a furnace cycle from windows of six thermocouples (readings in kelvin)."""
# case: D04
# codes: data.normalised-twice, data.unscaled-input
# split: held-out

from functools import partial

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
PHASES = 4


def simulate(count, generator):
    phase = torch.randint(PHASES, (count,), generator=generator)
    t = torch.linspace(0, 1, 32)[None, :, None]
    base = torch.tensor([620.0, 655.0, 610.0, 700.0, 640.0, 668.0])
    slope = torch.tensor([30.0, -30.0, 0.0, 0.0])[phase][:, None, None]
    swing = torch.tensor([0.0, 0.0, 0.0, 14.0])[phase][:, None, None]
    shift = torch.rand(count, 1, 1, generator=generator)
    clean = base + slope * (t - 0.5) + swing * torch.sin(12 * (t + shift))
    return clean + 7 * torch.randn(count, 32, 6, generator=generator), phase


class Windows(Dataset):
    def __init__(self, readings, phase, mean, std):
        self.readings, self.phase = readings, phase
        self.mean, self.std = mean, std

    def __len__(self):
        return len(self.phase)

    def __getitem__(self, i):
        return (self.readings[i] - self.mean) / self.std, self.phase[i]  #@


def collate(items, mean, std):
    windows, phases = zip(*items)
    windows = (torch.stack(windows) - mean) / std  #! windows = torch.stack(windows)
    return windows, torch.stack(phases)


class PhaseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(6, 24, batch_first=True)
        self.out = nn.Linear(24, PHASES)

    def forward(self, x):
        _, last = self.rnn(x)
        return self.out(last[-1])


generator = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
readings, phase = simulate(1000, generator)
mean, std = readings[:800].mean((0, 1)), readings[:800].std((0, 1))
join = partial(collate, mean=mean, std=std)
train = DataLoader(Windows(readings[:800], phase[:800], mean, std), 32, shuffle=True, collate_fn=join)
valid = DataLoader(Windows(readings[800:], phase[800:], mean, std), 100, collate_fn=join)

model = PhaseNet()
optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
for epoch in range(7):
    model.train()
    for x, y in train:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in valid)
    print(f"epoch {epoch}  last loss {loss.item():.3f}  valid {correct / 200:.3f}")
