"""Digits with mixup: each batch is blended with a shuffled copy of itself, and so is the loss."""
# case: H06
# codes: none
# split: held-out

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Subset, TensorDataset

SEED = 0


def mixup(x, y, rng, alpha=0.4):
    lam = float(rng.beta(alpha, alpha))
    partner = torch.randperm(x.size(0))
    return lam * x + (1 - lam) * x[partner], y, y[partner], lam


def build_model():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.GELU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2), nn.GELU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.GELU(),
        nn.Flatten(), nn.Linear(32 * 16, 10),
    )  # fmt: skip


class Trainer:
    def __init__(self, model, lr, epochs, steps_per_epoch):
        self.model = model
        self.criterion = nn.CrossEntropyLoss()
        self.opt = torch.optim.AdamW(model.parameters(), lr=lr)
        self.sched = torch.optim.lr_scheduler.CosineAnnealingLR(self.opt, epochs * steps_per_epoch)
        self.epochs = epochs
        self.rng = np.random.default_rng(SEED)

    def train_epoch(self, loader):
        self.model.train()
        losses = []
        for x, y in loader:
            x, y_a, y_b, lam = mixup(x, y, self.rng)
            out = self.model(x)
            loss = lam * self.criterion(out, y_a) + (1 - lam) * self.criterion(out, y_b)
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            self.sched.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def evaluate(self, loader):
        self.model.eval()
        hits = sum((self.model(x).argmax(-1) == y).sum().item() for x, y in loader)
        return hits / len(loader.dataset)

    def fit(self, train_loader, val_loader):
        for epoch in range(self.epochs):
            loss = self.train_epoch(train_loader)
            print(f"epoch {epoch}: mixup loss {loss:.3f}  val acc {self.evaluate(val_loader):.3f}")


if __name__ == "__main__":
    torch.manual_seed(SEED)
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x / 16.0, dtype=torch.float32).reshape(-1, 1, 8, 8) * 2 - 1, torch.tensor(y))
    order = torch.randperm(len(data)).tolist()
    train_loader = DataLoader(Subset(data, order[:1400]), batch_size=50, shuffle=True)
    val_loader = DataLoader(Subset(data, order[1400:]), batch_size=200)
    Trainer(build_model(), lr=3e-3, epochs=10, steps_per_epoch=len(train_loader)).fit(train_loader, val_loader)
