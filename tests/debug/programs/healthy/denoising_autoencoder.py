"""Denoising autoencoder: rebuild clean signals from noisy ones."""
# case: healthy
# codes: none
# split: held-out

import math

import torch
from torch import nn

SEED = 0


class DenoisingAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv1d(1, 16, 5, stride=2, padding=2), nn.GELU(), nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.GELU()
        )
        self.up = nn.Sequential(
            nn.ConvTranspose1d(32, 16, 4, stride=2, padding=1), nn.GELU(), nn.ConvTranspose1d(16, 1, 4, stride=2, padding=1)
        )

    def forward(self, x):
        return self.up(self.down(x))


def signals(n, length=64):
    t = torch.linspace(0, 1, length)
    frequency, phase = 1 + 4 * torch.rand(n, 1), 2 * math.pi * torch.rand(n, 1)
    second = 0.5 * torch.sin(2 * math.pi * 2.3 * frequency * t + 1.7 * phase)
    return (torch.sin(2 * math.pi * frequency * t + phase) + second).unsqueeze(1)


class Experiment:
    def __init__(self, noise=0.5, lr=3e-3, batch_size=64):
        torch.manual_seed(SEED)
        self.noise, self.batch_size = noise, batch_size
        self.train_clean, self.val_clean = signals(2000), signals(400)
        self.val_noisy = self.corrupt(self.val_clean)
        self.model = DenoisingAutoencoder()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=lr)
        self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, step_size=4, gamma=0.3)
        self.criterion = nn.MSELoss()

    def corrupt(self, clean):
        return clean + self.noise * torch.randn_like(clean)

    def train_epoch(self):
        self.model.train()
        history = []
        for clean in self.train_clean[torch.randperm(2000)].split(self.batch_size):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(self.corrupt(clean)), clean)
            loss.backward()
            self.optimizer.step()
            history.append(loss.item())
        self.scheduler.step()
        return sum(history) / len(history)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        return self.criterion(self.model(self.val_noisy), self.val_clean).item()

    def run(self, epochs):
        print(f"noise power {self.criterion(self.val_noisy, self.val_clean).item():.4f}")
        for epoch in range(epochs):
            train_loss, val_loss = self.train_epoch(), self.validate()
            print(f"epoch {epoch:2d} train {train_loss:.4f} val {val_loss:.4f}")


Experiment().run(epochs=8)
