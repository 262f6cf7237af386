"""Spectral classes of stars, catalogue in order of class as it is published; streaming over the catalogue."""
# case: D09
# codes: data.not-shuffled
# split: fresh
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, SequentialSampler

SEED = 0
CLASSES = "OBAFGKM"


class Catalogue(Dataset):
    def __init__(self, per_class, seed):
        r = np.random.default_rng(seed)
        self.label = np.repeat(np.arange(7), per_class)
        temperature = np.array([30.0, 15.0, 9.0, 7.0, 5.7, 4.5, 3.3])[self.label] * np.exp(r.normal(0, 0.05, len(self.label)))
        wave = np.linspace(0.35, 0.9, 24)
        flux = 1 / wave**5 / (np.exp(14.388 / (wave * temperature[:, None])) - 1)
        flux = flux / flux.max(1, keepdims=True)
        lines = np.where(np.abs(self.label[:, None] - 2) < 2, -0.2, 0.0) * np.exp(-(((wave - 0.486) / 0.02) ** 2))
        self.flux = ((flux + lines + r.normal(0, 0.02, flux.shape)) * 4 - 2).astype(np.float32)

    def __len__(self):
        return len(self.label)

    def __getitem__(self, i):
        return self.flux[i], self.label[i]


def run_epoch(net, loader, opt=None):
    loss_sum, hits, n = 0.0, 0, 0
    net.train(opt is not None)
    with torch.set_grad_enabled(opt is not None):
        for flux, label in loader:
            out = net(flux)
            loss = nn.functional.cross_entropy(out, label)
            if opt is not None:
                opt.zero_grad()
                loss.backward()
                opt.step()
            loss_sum += loss.item() * len(label)
            hits += (out.argmax(1) == label).sum().item()
            n += len(label)
    return loss_sum / n, hits / n


if __name__ == "__main__":
    torch.manual_seed(SEED)
    train, valid = Catalogue(150, SEED), Catalogue(40, SEED + 1)
    loader = DataLoader(train, batch_size=30, sampler=SequentialSampler(train))  #! loader = DataLoader(train, batch_size=30, sampler=RandomSampler(train))
    valid_loader = DataLoader(valid, batch_size=140)
    net = nn.Sequential(nn.Linear(24, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 7))
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for epoch in range(20):
        a, b = run_epoch(net, loader, opt), run_epoch(net, valid_loader)
        print(f"epoch {epoch + 1:2d}  train {a[0]:.3f}/{a[1]:.3f}  valid {b[0]:.3f}/{b[1]:.3f}")
