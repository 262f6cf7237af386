"""Was there motion between two camera frames, and which way? Frame differences of 8-bit pictures."""
# case: D05
# codes: data.integer-wraparound
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
WAYS = ["none", "left", "right", "up", "down"]
MOVES = {0: (0, 0), 1: (0, -1), 2: (0, 1), 3: (-1, 0), 4: (1, 0)}


def frame_pairs(n):
    way = rng.integers(0, 5, n)
    first = np.zeros((n, 12, 12), np.uint8)
    second = np.zeros_like(first)
    for i, w in enumerate(way):
        scene = np.full((12, 12), 110.0)
        r, c = rng.integers(2, 8, 2)
        scene[r : r + 3, c : c + 3] += rng.choice([-60, 60])
        moved = np.roll(scene, MOVES[int(w)], (0, 1))
        first[i] = (scene + rng.normal(0, 3, scene.shape)).clip(0, 255)
        second[i] = (moved + rng.normal(0, 3, scene.shape)).clip(0, 255)
    return first, second, way


def features(first, second):
    change = second - first  #! change = second.astype(np.int16) - first
    both = np.stack([first, change], 1)
    return torch.from_numpy(both.astype(np.float32))


a1, a2, ay = frame_pairs(900)
b1, b2, by = frame_pairs(300)
train_x, test_x = features(a1, a2), features(b1, b2)
mean = train_x.mean((0, 2, 3), keepdim=True)
std = train_x.std((0, 2, 3), keepdim=True)
train_x, test_x = (train_x - mean) / std, (test_x - mean) / std
train_y, test_y = torch.from_numpy(ay), torch.from_numpy(by)

net = nn.Sequential(nn.Conv2d(2, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
opt = torch.optim.Adam(net.parameters(), 3e-3)
for epoch in range(12):
    total = 0.0
    for i in torch.randperm(900).split(30):
        loss = nn.functional.cross_entropy(net(train_x[i]), train_y[i])  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() / 30
    with torch.no_grad():
        acc = (net(test_x).argmax(1) == test_y).float().mean().item()
    print(f"epoch {epoch + 1}: {total:.3f} {acc:.3f}")
