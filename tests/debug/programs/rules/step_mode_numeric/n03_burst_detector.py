"""Find recordings that contain a burst: 1-d convolutions, global maximum, Bernoulli likelihood."""
# case: N03
# codes: numeric.non-finite-loss, numeric.non-finite-gradient
# split: rules

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


class Recordings(NamedTuple):
    wave: torch.Tensor
    burst: torch.Tensor


def record(n, length=48):
    wave = 0.5 * torch.randn(n, 1, length)
    burst = (torch.rand(n) < 0.5).float()
    start = torch.randint(0, length - 8, (n,))
    t = torch.arange(length)
    inside = ((t >= start[:, None]) & (t < start[:, None] + 8)).float()
    strength = 0.8 + torch.rand(n, 1).pow(3) * 4
    shape = torch.sin(t * 2.1) * inside * strength * burst[:, None]
    return Recordings(wave + shape[:, None], burst)


class Detector(nn.Module):
    def __init__(self, channels=16):
        super().__init__()
        self.first = nn.Conv1d(1, channels, 7, padding=3)
        self.second = nn.Conv1d(channels, channels, 5, padding=2)
        self.gate = nn.Conv1d(channels, 1, 1)

    def forward(self, wave):
        x = F.relu(self.second(F.relu(self.first(wave))))
        return self.gate(x).amax(dim=(1, 2))


def bernoulli_loss(score, burst):
    log_yes = torch.sigmoid(score).log()  #! log_yes = F.logsigmoid(score)
    log_no = (1 - torch.sigmoid(score)).log()  #! log_no = F.logsigmoid(-score)
    return -(burst * log_yes + (1 - burst) * log_no).mean()  #@


def train(model, data, val, epochs=6, batch=40):
    optimizer = torch.optim.RMSprop(model.parameters(), lr=2e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8)
    for epoch in range(epochs):
        order = torch.randperm(len(data.burst))
        for rows in order.split(batch):
            loss = bernoulli_loss(model(data.wave[rows]), data.burst[rows])
            model.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        with torch.no_grad():
            score = model(val.wave)
            found = ((score > 0).float() == val.burst).float().mean().item()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}  val {bernoulli_loss(score, val.burst).item():.4f}  right {found:.3f}")


if __name__ == "__main__":
    torch.manual_seed(SEED)
    train(Detector(), record(1600), record(400))
