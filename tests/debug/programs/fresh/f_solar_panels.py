"""Cracked solar cells: a small convolutional network, training and validation in one loop over phases."""
# case: M02
# codes: mode.evaluating-in-train
# split: fresh
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)


def cells(n):
    cracked = rng.integers(0, 2, n)
    img = rng.normal(0.4, 0.25, (n, 1, 16, 16))
    img[:, :, ::4] += 0.3
    for i in np.flatnonzero(cracked):
        r, c = rng.integers(2, 13), rng.integers(0, 7)
        for k in range(9):
            r = int(np.clip(r + rng.integers(-1, 2), 0, 15))
            img[i, 0, r, c + k] -= 0.85
    return TensorDataset(torch.tensor(img, dtype=torch.float32), torch.tensor(cracked))


data = {"train": cells(600), "val": cells(300)}
loaders = {"train": DataLoader(data["train"], 30, shuffle=True), "val": DataLoader(data["val"], 10)}
net = nn.Sequential(
    nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Dropout2d(0.3), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 25, 2)
)
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(8):
    line = []
    for phase in ("train", "val"):
        net.train()  #! net.train(phase == "train")
        total = hits = 0.0
        for img, cracked in loaders[phase]:
            with torch.set_grad_enabled(phase == "train"):
                out = net(img)  #@
                loss = nn.functional.cross_entropy(out, cracked)
            if phase == "train":
                opt.zero_grad()
                loss.backward()
                opt.step()
            total += loss.item() * len(img)
            hits += (out.argmax(1) == cracked).sum().item()
        line.append(f"{phase} {total / len(data[phase]):.3f} {hits / len(data[phase]):.3f}")
    print(epoch, " | ".join(line))
