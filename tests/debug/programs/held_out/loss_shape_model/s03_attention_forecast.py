"""Next-step forecast of coupled oscillators with a small transformer encoder."""
# case: S03
# codes: shape.batch-first, shape.samples-mixed
# split: held-out
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class Oscillators(Dataset):
    """Windows of (past steps, channels) and the step that follows."""

    def __init__(self, n, past=20, channels=3, seed=SEED):
        gen = torch.Generator().manual_seed(seed)
        t = torch.arange(past + 1).float()[:, None]
        speed = 0.25 + 0.9 * torch.rand(n, 1, channels, generator=gen)
        phase = 2 * math.pi * torch.rand(n, 1, channels, generator=gen)
        wave = torch.sin(speed * t + phase)
        mixing = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 1.0]])
        self.series = wave @ mixing + 0.02 * torch.randn(n, past + 1, channels, generator=gen)

    def __len__(self):
        return len(self.series)

    def __getitem__(self, i):
        return self.series[i, :-1], self.series[i, -1]


class Forecaster(nn.Module):
    def __init__(self, channels=3, past=20, dim=32, heads=4, depth=2):
        super().__init__()
        self.lift = nn.Linear(channels, dim)
        self.position = nn.Parameter(0.1 * torch.randn(past, dim))
        layer = nn.TransformerEncoderLayer(dim, heads, 64, dropout=0.0, norm_first=True)  #! layer = nn.TransformerEncoderLayer(dim, heads, 64, dropout=0.0, norm_first=True, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(dim, channels)

    def forward(self, past):
        h = self.encoder(self.lift(past) + self.position)  #@
        return self.head(h[:, -1])


class Experiment:
    def __init__(self):
        torch.manual_seed(SEED)
        self.train = DataLoader(Oscillators(2048), batch_size=64, shuffle=True)
        self.valid = DataLoader(Oscillators(256, seed=SEED + 1000), batch_size=64)
        self.model = Forecaster()
        self.loss = nn.SmoothL1Loss()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=3e-3)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, 3e-3, total_steps=6 * len(self.train))

    def run_epoch(self):
        self.model.train()
        for past, following in self.train:
            loss = self.loss(self.model(past), following)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            yield loss.item()

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        return sum(self.loss(self.model(past), following).item() for past, following in self.valid) / len(self.valid)


experiment = Experiment()
for epoch in range(6):
    losses = list(experiment.run_epoch())
    print(f"epoch {epoch} train {sum(losses) / len(losses):.4f} valid {experiment.validate():.4f}")
