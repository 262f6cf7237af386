"""Digit recognition with a three-layer network, trained by plain SGD."""
# case: L07
# codes: loss.mismatched-task, step.learning-rate-too-low
# split: rules

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = 0


@dataclass
class Settings:
    hidden: int = 64
    lr: float = 0.2
    batch: int = 32
    epochs: int = 6


class Net(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.a = torch.nn.Linear(64, hidden)
        self.b = torch.nn.Linear(hidden, hidden)
        self.c = torch.nn.Linear(hidden, 10)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))))


def criterion(scores, labels):
    return F.mse_loss(torch.sigmoid(scores), F.one_hot(labels, 10).float())  #! return F.cross_entropy(scores, labels)


def load():
    raw = load_digits()
    order = np.random.default_rng(SEED).permutation(len(raw.target))
    x, y = raw.data[order], raw.target[order]
    mean, std = x[:1400].mean(0), x[:1400].std(0) + 1.0
    x = torch.tensor((x - mean) / std, dtype=torch.float32)
    y = torch.tensor(y)
    return x[:1400], y[:1400], x[1400:], y[1400:]


def run(cfg):
    torch.manual_seed(SEED)
    x, y, x_test, y_test = load()
    net = Net(cfg.hidden)
    sgd = torch.optim.SGD(net.parameters(), lr=cfg.lr)  #@
    for epoch in range(cfg.epochs):
        net.train()
        history = []
        for rows in torch.randperm(len(x)).split(cfg.batch):
            loss = criterion(net(x[rows]), y[rows])  #@
            sgd.zero_grad()
            loss.backward()
            sgd.step()
            history.append(loss.item())
        net.eval()
        with torch.no_grad():
            out = net(x_test)
            acc = (out.argmax(1) == y_test).float().mean()
        print(f"[{epoch}] train {np.mean(history):.4f} test {criterion(out, y_test).item():.4f} acc {acc:.3f}")


run(Settings())
