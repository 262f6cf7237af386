"""Gradient accumulation with an exponential moving average of the weights; the average is what is validated."""
# case: healthy
# codes: none
# split: held-out

import copy

import torch
from sklearn.datasets import make_moons
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0


class EMA:
    def __init__(self, model, decay):
        self.decay = decay
        self.model = copy.deepcopy(model).eval()
        for p in self.model.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for average, current in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(current, 1 - self.decay)
            else:
                average.copy_(current)


class Trainer:
    accumulate = 4

    def __init__(self, model, train_loader, val_loader):
        self.model, self.train_loader, self.val_loader = model, train_loader, val_loader
        self.ema = EMA(model, decay=0.95)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        self.criterion = nn.BCEWithLogitsLoss()
        assert len(train_loader) % self.accumulate == 0

    def epoch(self):
        self.model.train()
        window = []
        for i, (x, y) in enumerate(self.train_loader):
            loss = self.criterion(self.model(x).squeeze(1), y)
            (loss / self.accumulate).backward()
            window.append(loss.item())
            if (i + 1) % self.accumulate == 0:
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.ema.update(self.model)
        return sum(window) / len(window)

    @torch.no_grad()
    def accuracy(self, model):
        was_training = model.training
        model.eval()
        hits = sum(((model(x).squeeze(1) > 0) == (y > 0.5)).sum().item() for x, y in self.val_loader)
        model.train(was_training)
        return hits / len(self.val_loader.dataset)


def spirals(n, random_state):
    x, y = make_moons(n, noise=0.12, random_state=random_state)
    return TensorDataset(torch.tensor((x - [0.5, 0.25]) / [0.87, 0.5], dtype=torch.float32), torch.tensor(y, dtype=torch.float32))


torch.manual_seed(SEED)
net = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
trainer = Trainer(
    net,
    DataLoader(spirals(2560, SEED), batch_size=16, shuffle=True, drop_last=True),
    DataLoader(spirals(1000, SEED + 500), batch_size=500),
)
for epoch in range(6):
    loss = trainer.epoch()
    print(f"epoch {epoch}: loss {loss:.4f} val accuracy raw {trainer.accuracy(net):.3f} averaged {trainer.accuracy(trainer.ema.model):.3f}")
