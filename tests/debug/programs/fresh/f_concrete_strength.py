"""Strength of concrete from its recipe (simulated): widths from the command line, bottleneck of four units."""
# case: G01
# codes: model.no-nonlinearity
# split: fresh
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


def recipes(n):
    cement, water, ash, age = 150 + 350 * torch.rand(n), 140 + 80 * torch.rand(n), 150 * torch.rand(n), 1 + 89 * torch.rand(n)
    ratio = water / (cement + 0.4 * ash)
    strength = 95 * torch.exp(-2.2 * ratio) * (1 - torch.exp(-age / 14))
    x = torch.stack([cement, water, ash, age], 1)
    return (x - x.mean(0)) / x.std(0), (strength + 0.7 * torch.randn(n)) / 10


class Strength(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layers, last = [], 4
        for w in widths:
            layers.append(nn.Linear(last, w))
            #+ layers.append(nn.SiLU())
            last = w
        self.layers = nn.Sequential(*layers)  #@
        self.out = nn.Linear(last, 1)

    def forward(self, x):
        return self.out(self.layers(x)).flatten()  #@


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--widths", type=int, nargs="+", default=[64, 64, 16])
    ap.add_argument("--epochs", type=int, default=30)
    args = ap.parse_args()
    torch.manual_seed(SEED)
    train, test = random_split(TensorDataset(*recipes(1500)), [1200, 300])
    net = Strength(args.widths)
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    for epoch in range(1, args.epochs + 1):
        for x, y in DataLoader(train, 60, shuffle=True):
            loss = nn.functional.mse_loss(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 6 == 0:
            with torch.no_grad():
                x, y = next(iter(DataLoader(test, 300)))
                r2 = 1 - nn.functional.mse_loss(net(x), y) / y.var()
            print(f"epoch {epoch}: loss {loss.item():.4f}, test R2 {r2.item():.3f}")


if __name__ == "__main__":
    main()
