"""Add a head for inverted, noisy digits to a fixed backbone that still serves the clean digits."""
# case: M05
# codes: mode.frozen-statistics-drift
# split: rules

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

SEED = 0


def conv_bn(cin, cout):
    return [nn.Conv2d(cin, cout, 3, padding=1, bias=False), nn.BatchNorm2d(cout), nn.ReLU(), nn.AvgPool2d(2)]


class Backbone(nn.Sequential):
    def __init__(self):
        super().__init__(*conv_bn(1, 16), *conv_bn(16, 32), nn.Flatten())


class MultiHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Backbone()
        self.heads = nn.ModuleDict({"clean": nn.Linear(128, 10)})

    def add_head(self, name):
        self.heads[name] = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
        return self.heads[name]

    def forward(self, x, domain):
        return self.heads[domain](self.backbone(x))


def accuracy(model, x, y, domain):
    model.eval()
    with torch.no_grad():
        return (model(x, domain).argmax(1) == y).float().mean().item()


def fit_clean(model, x, y, steps):
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        loss = F.cross_entropy(model(x[rows], "clean"), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fit_new_head(model, x, y, epochs, report):
    head = model.add_head("inverted")
    model.backbone.requires_grad_(False)  #@
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()  #@
        #+ model.backbone.eval()
        total = 0.0
        for rows in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(model(x[rows], "inverted"), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows) / len(x)
        report(epoch, total)


def main():
    torch.manual_seed(SEED)
    bunch = load_digits()
    order = torch.randperm(len(bunch.target))
    y = torch.tensor(bunch.target)[order]
    clean = (torch.tensor(bunch.images, dtype=torch.float32)[order, None] / 16 - 0.3) / 0.37
    inverted = 0.6 - clean + 0.3 * torch.randn_like(clean)
    model = MultiHead()
    fit_clean(model, clean[:1300], y[:1300], steps=120)
    print(f"clean digits: {accuracy(model, clean[1300:], y[1300:], 'clean'):.3f}")
    fit_new_head(model, inverted[:1300], y[:1300], epochs=6, report=lambda epoch, loss: print(
        f"epoch {epoch}: loss {loss:.3f}, inverted {accuracy(model, inverted[1300:], y[1300:], 'inverted'):.3f}, "
        f"clean {accuracy(model, clean[1300:], y[1300:], 'clean'):.3f}"))


main()
