"""Forecast the next six values of noisy seasonal series with a GRU."""
# case: healthy
# codes: none
# split: held-out

import argparse
import math

import torch
from torch import nn

SEED = 0


def get_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", type=int, default=24)
    parser.add_argument("--horizon", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=48)
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--epochs", type=int, default=8)
    return parser.parse_args()


def series(length):
    """Sales of one shop: a season of twelve months, an amplitude that drifts, noise."""
    t = torch.arange(length, dtype=torch.float32)
    amplitude = 8 + 3 * torch.sin(2 * math.pi * t / 170)
    return 100 + amplitude * torch.sin(2 * math.pi * t / 12) + 4 * torch.cos(2 * math.pi * t / 7) + torch.randn(length)


def windows(values, history, horizon):
    chunks = values.unfold(0, history + horizon, 1)
    return chunks[:, :history, None], chunks[:, history:]


class Forecaster(nn.Module):
    def __init__(self, hidden, horizon):
        super().__init__()
        self.gru = nn.GRU(input_size=1, hidden_size=hidden, batch_first=True)
        self.readout = nn.Linear(hidden, horizon)

    def forward(self, x):
        _, last = self.gru(x)
        return self.readout(last[-1])


def train(args):
    torch.manual_seed(SEED)
    values = series(2400)
    cut = 2000
    mean, std = values[:cut].mean(), values[:cut].std()
    scaled = (values - mean) / std
    x, y = windows(scaled[:cut], args.history, args.horizon)
    x_val, y_val = windows(scaled[cut:], args.history, args.horizon)

    model = Forecaster(args.hidden, args.horizon)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
    season = (x_val[:, -12 : -12 + args.horizon, 0] - y_val).abs().mean() * std
    print(f"same month of last year: MAE {season:.2f}")
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(64):
            loss = nn.functional.smooth_l1_loss(model(x[idx]), y[idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(idx)
        scheduler.step()
        model.eval()
        with torch.no_grad():
            mae = (model(x_val) - y_val).abs().mean() * std
        print(f"epoch {epoch}: train loss {total / len(x):.4f}, validation MAE {mae:.2f}")


if __name__ == "__main__":
    train(get_args())
