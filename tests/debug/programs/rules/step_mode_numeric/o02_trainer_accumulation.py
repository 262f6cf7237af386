"""Gradient-accumulating trainer for a breast-cancer classifier on tabular data."""
# case: O02
# codes: step.gradients-cleared-too-soon
# split: rules

from dataclasses import dataclass

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0


@dataclass
class Config:
    micro_batch: int = 8
    accumulate: int = 6
    lr: float = 0.05
    momentum: float = 0.9
    updates: int = 120
    width: int = 48


class Trainer:
    def __init__(self, model, loader, config):
        self.model, self.loader, self.config = model, loader, config
        self.optimizer = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=config.momentum)
        self.criterion = nn.BCEWithLogitsLoss()

    def batches(self):
        while True:
            yield from self.loader

    def fit(self):
        self.model.train()
        batches = self.batches()
        for update in range(self.config.updates):
            running = 0.0
            #+ self.optimizer.zero_grad()
            for _ in range(self.config.accumulate):
                features, target = next(batches)
                self.optimizer.zero_grad()  #!
                loss = self.criterion(self.model(features).squeeze(1), target) / self.config.accumulate
                loss.backward()  #@
                running += loss.item()
            self.optimizer.step()  #@
            if update % 20 == 0 or update == self.config.updates - 1:
                print(f"update {update:4d}  loss {running:.4f}")

    @torch.no_grad()
    def evaluate(self, features, target):
        self.model.eval()
        logits = self.model(features).squeeze(1)
        return self.criterion(logits, target).item(), ((logits > 0) == target.bool()).float().mean().item()


def load():
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.25, stratify=y, random_state=SEED)
    scaler = StandardScaler().fit(x_train)
    as_tensor = lambda a: torch.tensor(a, dtype=torch.float32)  # noqa: E731
    return as_tensor(scaler.transform(x_train)), as_tensor(y_train), as_tensor(scaler.transform(x_val)), as_tensor(y_val)


if __name__ == "__main__":
    torch.manual_seed(SEED)
    config = Config()
    x_train, y_train, x_val, y_val = load()
    loader = DataLoader(TensorDataset(x_train, y_train), config.micro_batch, shuffle=True, drop_last=True)
    model = nn.Sequential(nn.Linear(30, config.width), nn.ReLU(), nn.Linear(config.width, 1))
    trainer = Trainer(model, loader, config)
    trainer.fit()
    loss, accuracy = trainer.evaluate(x_val, y_val)
    print(f"validation loss {loss:.4f}  accuracy {accuracy:.4f}")
