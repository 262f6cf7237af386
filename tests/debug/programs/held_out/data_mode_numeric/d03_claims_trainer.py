"""Rank insurance claims into three cost bands from skewed money columns."""
# case: D03
# codes: data.split-preprocessing
# split: held-out

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

SEED = 0


@dataclass
class Settings:
    columns: int = 10
    rows: int = 2400
    hidden: int = 64
    lr: float = 3e-3
    epochs: int = 12
    batch: int = 100
    history: list = field(default_factory=list)


class Trainer:
    def __init__(self, cfg):
        self.cfg = cfg
        self.rng = np.random.default_rng(SEED)
        torch.manual_seed(SEED)
        self.model = nn.Sequential(
            nn.Linear(cfg.columns, cfg.hidden), nn.SiLU(), nn.Linear(cfg.hidden, cfg.hidden), nn.SiLU(), nn.Linear(cfg.hidden, 3)
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=cfg.lr, weight_decay=1e-3)
        self.schedule = CosineAnnealingLR(self.optimizer, cfg.epochs)

    def load(self):
        logs = self.rng.normal(2.0, 1.2, (self.cfg.rows, self.cfg.columns))
        score = logs @ self.rng.normal(size=self.cfg.columns) + 0.5 * (logs[:, 0] - 2) * (logs[:, 1] - 2)
        band = np.digitize(score, np.quantile(score, [1 / 3, 2 / 3]))
        return np.exp(logs).astype(np.float32), band

    def prepare(self, money, band):
        cut = int(0.8 * len(money))
        fit = np.log1p(money[:cut])
        self.centre, self.spread = fit.mean(0), fit.std(0)
        train = (fit - self.centre) / self.spread
        test = (money[cut:] - self.centre) / self.spread  #! test = (np.log1p(money[cut:]) - self.centre) / self.spread
        labels = torch.from_numpy(band)
        self.train_set = torch.from_numpy(train), labels[:cut]
        self.test_set = torch.from_numpy(test), labels[cut:]

    def epoch(self):
        self.model.train()
        x, y = self.train_set
        losses = []
        for rows in torch.randperm(len(x)).split(self.cfg.batch):
            loss = nn.functional.cross_entropy(self.model(x[rows]), y[rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        self.schedule.step()
        return np.mean(losses)

    @torch.no_grad()
    def test(self):
        self.model.eval()
        x, y = self.test_set
        return (self.model(x).argmax(1) == y).float().mean().item()

    def run(self):
        self.prepare(*self.load())
        for number in range(self.cfg.epochs):
            self.cfg.history.append((self.epoch(), self.test()))
            print("epoch %d: train loss %.3f, test accuracy %.3f" % (number, *self.cfg.history[-1]))


if __name__ == "__main__":
    Trainer(Settings()).run()
