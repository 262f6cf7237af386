"""Wear of pumps from independent windows of vibration, a GRU regressor inside a small runner class."""
# case: G09
# codes: model.state-leak
# split: rules

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
BATCH = 40


def vibration(count, seed):
    """Windows of 20 readings; wear is the share of energy in the fast part of the signal."""
    generator = torch.Generator().manual_seed(seed)
    wear = torch.rand(count, generator=generator)
    time = torch.arange(20.0)
    start = torch.rand(2, count, 1, generator=generator) * 6.28
    slow, fast = torch.sin(0.35 * time + start[0]), torch.sin(2.2 * time + start[1])
    signal = (1 - wear)[:, None] * slow + wear[:, None] * fast + 0.1 * torch.randn(count, 20, generator=generator)
    return TensorDataset(signal[..., None] / 0.5, (wear - 0.5) / 0.29)


class WearModel(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.regressor = nn.Linear(hidden, 1)
        self.hidden = torch.zeros(1, BATCH, hidden)

    def forward(self, window):
        states, hidden = self.gru(window, self.hidden)  #! states, hidden = self.gru(window)
        self.hidden = hidden.detach()  #@
        return self.regressor(states[:, -1]).squeeze(-1)


class Runner:
    def __init__(self, model, train_set, val_set):
        self.model = model
        self.train_loader = DataLoader(train_set, BATCH, shuffle=True, drop_last=True)
        self.val_loader = DataLoader(val_set, BATCH, drop_last=True)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
        self.criterion = nn.MSELoss()

    def train(self):
        self.model.train()
        losses = []
        for window, wear in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(window), wear)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        losses = [self.criterion(self.model(window), wear).item() for window, wear in self.val_loader]
        return sum(losses) / len(losses)


torch.manual_seed(SEED)
runner = Runner(WearModel(), vibration(1200, SEED + 1), vibration(400, SEED + 2))
for epoch in range(10):
    print(f"epoch {epoch}: train {runner.train():.4f} val {runner.validate():.4f}")
