"""Forecast tomorrow's demand from the last four weeks with a dilated convolution and a log-cosh loss."""
# case: L05
# codes: loss.broadcast
# split: held-out
import argparse
import math

import numpy as np
import torch
import torch.nn as nn

SEED = 0

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--window", type=int, default=28)
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--lr", type=float, default=4e-3)


def demand(days, rng):
    t = np.arange(days)
    week = np.array([0.2, 0.0, -0.3, -0.1, 0.6, 1.4, 0.9])[t % 7]
    season = np.sin(2 * math.pi * t / 90)
    noise = np.zeros(days)
    for i in range(1, days):
        noise[i] = 0.8 * noise[i - 1] + 0.2 * rng.normal()
    return (week + season + noise).astype(np.float32)


def logcosh(pred, target):
    diff = pred - target  #@
    return (diff + nn.functional.softplus(-2.0 * diff) - math.log(2.0)).mean()


class DilatedForecaster(nn.Module):
    def __init__(self, channels=24):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(1 if i == 0 else channels, channels, 3, dilation=2**i) for i in range(3)
        )
        self.head = nn.Linear(channels, 1)

    def forward(self, x):
        h = x.unsqueeze(1)
        for layer in self.layers:
            h = torch.relu(layer(h))
        return self.head(h[:, :, -1])  #! return self.head(h[:, :, -1]).squeeze(1)


def main(args):
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    series = demand(1600, rng)
    cut = 1280
    series = (series - series[:cut].mean()) / series[:cut].std()
    windows = torch.from_numpy(np.lib.stride_tricks.sliding_window_view(series, args.window + 1).copy())
    train, valid = windows[: cut - args.window], windows[cut:]
    net = DilatedForecaster()
    optim = torch.optim.Adam(net.parameters(), lr=args.lr)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(optim, args.epochs)
    for epoch in range(args.epochs):
        losses = []
        for rows in torch.randperm(len(train)).split(args.batch_size):
            history, following = train[rows, :-1], train[rows, -1]
            loss = logcosh(net(history), following)
            optim.zero_grad()
            loss.backward()
            optim.step()
            losses.append(loss.item())
        sched.step()
        with torch.no_grad():
            val = logcosh(net(valid[:, :-1]), valid[:, -1]).item()
        print(f"[{epoch:02d}] train {np.mean(losses):.4f} valid {val:.4f}")


if __name__ == "__main__":
    main(parser.parse_args())
