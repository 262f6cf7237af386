"""Recognise activities from windows of accelerometer readings with an LSTM."""
# case: S03
# codes: shape.batch-first, shape.samples-mixed
# split: rules

import argparse

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
ACTIVITIES = {"sit": (0.0, 0.0), "walk": (1.0, 0.09), "run": (1.6, 0.17), "climb": (1.0, 0.13)}


def record(count, steps, rng):
    windows = rng.normal(0, 0.25, (count, steps, 3)).astype(np.float32)
    labels = rng.integers(0, len(ACTIVITIES), count)
    clock = np.arange(steps)
    for window, label in zip(windows, labels, strict=True):
        strength, rate = list(ACTIVITIES.values())[label]
        wave = 2 * np.pi * (rate * rng.uniform(0.95, 1.05) * clock + rng.random())
        window += strength * np.stack([np.sin(wave), np.cos(wave), np.sin(2 * wave) / 2], axis=1)
        window[:, 2] += 0.4 if label == 3 else 0.0
    return TensorDataset(torch.from_numpy(windows), torch.from_numpy(labels))


class ActivityLSTM(nn.Module):
    def __init__(self, channels, hidden, classes):
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, num_layers=1)  #! self.lstm = nn.LSTM(channels, hidden, num_layers=1, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x):
        out, _ = self.lstm(x)  #@
        return self.fc(self.drop(out[:, -1]))  #@


def train_one_epoch(model, loader, optimizer, scheduler):
    model.train()
    losses = []
    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return np.mean(losses)


@torch.inference_mode()
def evaluate(model, loader):
    model.eval()
    return np.concatenate([(model(x).argmax(1) == y).numpy() for x, y in loader]).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=48)
    parser.add_argument("--lr", type=float, default=1e-2)
    args = parser.parse_args()

    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    train = DataLoader(record(1000, 32, rng), batch_size=args.batch_size, shuffle=True)
    test = DataLoader(record(400, 32, rng), batch_size=args.batch_size)
    model = ActivityLSTM(3, args.hidden, len(ACTIVITIES))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(train))
    for epoch in range(args.epochs):
        loss = train_one_epoch(model, train, optimizer, scheduler)
        print(f"epoch {epoch + 1}/{args.epochs} loss {loss:.4f} test acc {evaluate(model, test):.3f}")


if __name__ == "__main__":
    main()
