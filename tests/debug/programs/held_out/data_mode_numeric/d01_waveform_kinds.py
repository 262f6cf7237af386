"""Tell five kinds of synthetic sounds apart from short 16-bit mono clips with a strided 1-D convolutional network."""
# case: D01
# codes: data.unscaled-input, loss.starts-far-from-chance
# split: held-out

import numpy as np
import torch
from torch import nn

SEED = 0
RATE, LENGTH, KINDS = 8000, 512, ("sine", "square", "saw", "chirp", "hiss")


def synthesise(kind, rng):
    t = np.arange(LENGTH) / RATE
    f, phase = rng.uniform(150, 600), rng.uniform(0, 1)
    cycle = f * t + phase
    if kind == "sine":
        wave = np.sin(2 * np.pi * cycle)
    elif kind == "square":
        wave = np.sign(np.sin(2 * np.pi * cycle))
    elif kind == "saw":
        wave = 2 * (cycle % 1) - 1
    elif kind == "chirp":
        wave = np.sin(2 * np.pi * (cycle + 9000 * t**2))
    else:
        wave = rng.normal(0, 0.5, LENGTH)
    wave = rng.uniform(0.4, 0.9) * wave + rng.normal(0, 0.03, LENGTH)
    return (np.clip(wave, -1, 1) * 32767).astype(np.int16)


def record(count, rng):
    kinds = rng.integers(0, len(KINDS), count)
    return np.stack([synthesise(KINDS[k], rng) for k in kinds]), kinds


def minibatches(clips, kinds, size, rng=None):
    order = np.arange(len(clips)) if rng is None else rng.permutation(len(clips))
    for chunk in np.array_split(order, len(order) // size):
        signal = torch.from_numpy(clips[chunk]).float()  #! signal = torch.from_numpy(clips[chunk]).float() / 32768
        yield signal.unsqueeze(1), torch.from_numpy(kinds[chunk])


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train, held = record(1200, rng), record(300, rng)

net = nn.Sequential(
    nn.Conv1d(1, 16, 16, stride=4), nn.ReLU(),
    nn.Conv1d(16, 32, 8, stride=4), nn.ReLU(),
    nn.Conv1d(32, 32, 4, stride=2), nn.ReLU(),
    nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(32, len(KINDS)),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

for epoch in range(8):
    net.train()
    total = 0.0
    for signal, kind in minibatches(*train, 40, rng):
        loss = criterion(net(signal), kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    net.eval()
    with torch.inference_mode():
        right = sum((net(s).argmax(1) == k).sum().item() for s, k in minibatches(*held, 100))
    print(f"epoch {epoch}: loss {total / 30:.4f}, held-out accuracy {right / 300:.3f}")
