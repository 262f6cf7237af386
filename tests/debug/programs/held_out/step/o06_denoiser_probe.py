"""Denoising pre-training on digits without labels, then a linear probe on fixed features."""
# case: O06
# codes: step.freeze-ineffective
# split: held-out

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn, optim

SEED = 0
torch.manual_seed(SEED)


def load():
    x, y = load_digits(return_X_y=True)
    parts = train_test_split(x.astype("float32") / 8 - 1, y, test_size=0.3, random_state=SEED, stratify=y)
    return [torch.from_numpy(p) for p in parts]


def batches(n, size):
    return torch.randperm(n).split(size)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 96), nn.ELU(), nn.Linear(96, 32), nn.ELU())
        self.decoder = nn.Sequential(nn.Linear(32, 96), nn.ELU(), nn.Linear(96, 64))

    def forward(self, x):
        return self.decoder(self.encoder(x))


class Probe(nn.Module):
    """Pre-trained features, kept as they are, and a fresh linear read-out."""

    def __init__(self, encoder):
        super().__init__()
        self.features = encoder
        self.features.requires_grad = False  #! self.features.requires_grad_(False)
        self.readout = nn.Linear(32, 10)

    def forward(self, x):
        return self.readout(self.features(x))


x, x_test, y, y_test = load()
ae = Autoencoder()
opt = optim.AdamW(ae.parameters(), lr=2e-3)
for epoch in range(8):
    for idx in batches(len(x), 64):
        noisy = x[idx] + 0.4 * torch.randn_like(x[idx])
        loss = (ae(noisy) - x[idx]).square().mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(f"pretrain {epoch}: reconstruction {loss.item():.4f}")

probe = Probe(ae.encoder)
opt = optim.AdamW(probe.parameters(), lr=5e-3, weight_decay=0.0)  #@
criterion = nn.CrossEntropyLoss()
for epoch in range(10):
    for idx in batches(len(x), 64):
        loss = criterion(probe(x[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
    with torch.no_grad():
        accuracy = (probe(x_test).argmax(1) == y_test).float().mean()
    print(f"probe {epoch}: loss {loss.item():.4f}  accuracy {accuracy:.3f}")
