"""Read the digits of a water meter (scikit-learn digits as stand-in), grey values 0-255 as bytes."""
# case: D02
# codes: data.label-support
# split: fresh
import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = 0
torch.manual_seed(SEED)
d = load_digits()
perm = np.random.RandomState(SEED).permutation(len(d.target))
pics = np.round(d.images[perm] * 255 / 16).astype(np.uint8)
zahl = d.target[perm].astype(np.int64)


def skaliere(feld):
    return feld / 255.0


train_x, test_x = skaliere(pics[:1400]), skaliere(pics[1400:])
train_y, test_y = skaliere(zahl[:1400]).astype(np.int64), skaliere(zahl[1400:]).astype(np.int64)  #! train_y, test_y = zahl[:1400], zahl[1400:]
train_x = torch.tensor(train_x, dtype=torch.float32).unsqueeze(1)
test_x = torch.tensor(test_x, dtype=torch.float32).unsqueeze(1)
train_y, test_y = torch.from_numpy(train_y), torch.from_numpy(test_y)

netz = nn.Sequential(
    nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10)
)
opt = torch.optim.Adam(netz.parameters(), lr=2e-3)
for epoche in range(8):
    netz.train()
    for ids in torch.randperm(1400).split(35):
        verlust = nn.functional.cross_entropy(netz(train_x[ids]), train_y[ids])  #@
        opt.zero_grad()
        verlust.backward()
        opt.step()
    netz.eval()
    with torch.no_grad():
        treffer = (netz(test_x).argmax(1) == test_y).float().mean()
    print(f"Epoche {epoche + 1}: letzter Verlust {verlust.item():.4f}, Treffer {treffer:.1%}")
