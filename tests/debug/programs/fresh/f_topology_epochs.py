"""Trainer class with configuration by dataclass; two rings and a line in the plane, weakly scaled coordinates."""
# case: O18
# codes: step.optimiser-recreated
# split: fresh
from dataclasses import dataclass

import torch
from torch import nn

SEED = 0


@dataclass(frozen=True)
class Setup:
    hidden: int = 64
    lr: float = 0.02
    epochs: int = 40
    batch: int = 100
    points: int = 400


class Trainer:
    def __init__(self, setup):
        self.setup = setup
        self.net = nn.Sequential(nn.Linear(2, setup.hidden), nn.Tanh(), nn.Linear(setup.hidden, setup.hidden), nn.Tanh(), nn.Linear(setup.hidden, 3))
        self.optimizer = self.build_optimizer()

    def build_optimizer(self):
        return torch.optim.SGD(self.net.parameters(), lr=self.setup.lr, momentum=0.95)

    def one_epoch(self, x, y):
        self.optimizer = self.build_optimizer()  #!
        total = 0.0
        for rows in torch.randperm(len(x)).split(self.setup.batch):
            loss = nn.functional.cross_entropy(self.net(x[rows]), y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()  #@
            total += loss.item() * len(rows) / len(x)
        return total

    @torch.no_grad()
    def accuracy(self, x, y):
        return (self.net(x).argmax(1) == y).float().mean().item()


def plane(n):
    y = torch.randint(0, 3, (n,))
    angle = 6.2832 * torch.rand(n)
    radius = torch.tensor([0.6, 1.2, 0.0])[y]
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    line = torch.stack([2 * torch.rand(n) - 1, torch.zeros(n)], 1)
    return torch.where((y == 2)[:, None], line, x) + 0.05 * torch.randn(n, 2), y


def main():
    torch.manual_seed(SEED)
    setup = Setup()
    data, test = plane(setup.points), plane(400)
    trainer = Trainer(setup)
    for epoch in range(1, setup.epochs + 1):
        loss = trainer.one_epoch(*data)
        if epoch % 8 == 0:
            print(f"epoch {epoch:3d}  loss {loss:.3f}  test {trainer.accuracy(*test):.3f}")


main()
