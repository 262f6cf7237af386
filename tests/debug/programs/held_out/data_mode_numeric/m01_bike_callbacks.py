"""Forecast how many bikes are rented in an hour; a small runner with callbacks draws batches without end."""
# case: M01
# codes: mode.training-in-eval
# split: held-out

import math

import torch
from torch import nn

SEED = 0


def hours(count):
    clock, day = 24 * torch.rand(count), torch.randint(7, (count,))
    weather = torch.randn(count, 9)
    rush = torch.exp(-((clock - 8) ** 2) / 4) + torch.exp(-((clock - 18) ** 2) / 6)
    rentals = torch.where(day < 5, 2.5 * rush, 1.5 * torch.sin(clock * math.pi / 24))
    rentals = rentals + 0.6 * torch.tanh(weather[:, 0] - weather[:, 1] * weather[:, 2]) + 0.3 * torch.randn(count)
    angle = clock * math.pi / 12
    clock = torch.stack([torch.sin(angle), torch.cos(angle), torch.sin(2 * angle), torch.cos(2 * angle)], 1)
    return torch.cat([clock, nn.functional.one_hot(day, 7), weather], dim=1), rentals - 0.8


class Callback:
    def on_step_end(self, runner):
        pass


class Validate(Callback):
    def __init__(self, x, y, every):
        self.x, self.y, self.every = x, y, every

    def on_step_end(self, runner):
        if runner.step % self.every == 0:
            runner.model.eval()  #@
            with torch.no_grad():
                runner.logs["valid"] = runner.criterion(runner.model(self.x)[:, 0], self.y).item()
            #+ runner.model.train()


class Report(Callback):
    def on_step_end(self, runner):
        if runner.step % 50 == 0:
            print(f"step {runner.step}", *(f"{name} {value:.4f}" for name, value in runner.logs.items()))


class Runner:
    def __init__(self, model, criterion, optimizer, callbacks):
        self.model, self.criterion, self.optimizer = model, criterion, optimizer
        self.callbacks, self.logs, self.step = callbacks, {}, 0

    def fit(self, batches, steps):
        self.model.train()  #@
        while self.step < steps:
            x, y = next(batches)
            loss = self.criterion(self.model(x)[:, 0], y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.step += 1
            self.logs["train"] = loss.item()
            for callback in self.callbacks:
                callback.on_step_end(self)


def endless(x, y, size):
    while True:
        rows = torch.randint(len(x), (size,))
        yield x[rows], y[rows]


torch.manual_seed(SEED)
x, y = hours(900)
model = nn.Sequential(nn.Linear(20, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.2))
model.extend([nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, 1)])
adam = torch.optim.Adam(model.parameters(), lr=3e-3)
Runner(model, nn.MSELoss(), adam, [Validate(*hours(300), every=25), Report()]).fit(endless(x, y, 64), 400)
