"""Gesture recognition from accelerometer traces with an LSTM and an explicit initial state."""
# case: crash
# codes: shape.mismatch
# split: held-out

from dataclasses import dataclass

import torch
from torch import nn

SEED = 0


@dataclass
class Config:
    channels: int = 3
    embed: int = 16
    hidden: int = 32
    layers: int = 2
    gestures: int = 4
    lr: float = 3e-3
    epochs: int = 5


class GestureLSTM(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.encode = nn.Linear(cfg.channels, cfg.embed)
        self.lstm = nn.LSTM(cfg.embed, cfg.hidden, num_layers=cfg.layers, batch_first=True)
        self.classify = nn.Linear(cfg.hidden, cfg.gestures)

    def initial_state(self, batch):
        shape = (self.cfg.layers, batch, self.cfg.embed)  #! shape = (self.cfg.layers, batch, self.cfg.hidden)
        return torch.zeros(shape), torch.zeros(shape)  #@

    def forward(self, traces):
        state = self.initial_state(len(traces))
        out, _ = self.lstm(torch.tanh(self.encode(traces)), state)  #@
        return self.classify(out.mean(dim=1))


def traces(n, cfg, steps=30):
    """A push in one of four directions at some moment, with its own strength and duration."""
    directions = torch.tensor([[1.0, 0.2, 0.0], [-1.0, 0.0, 0.3], [0.0, 1.0, -0.4], [0.2, -0.6, 1.0]])
    label = torch.randint(cfg.gestures, (n,))
    moment, width = 8 + 14 * torch.rand(n, 1), 2 + 2 * torch.rand(n, 1)
    strength = 1 + 0.5 * torch.rand(n, 1)
    push = strength * torch.exp(-(((torch.arange(steps) - moment) / width) ** 2))
    return push[..., None] * directions[label][:, None] + 0.3 * torch.randn(n, steps, cfg.channels), label


cfg = Config()
torch.manual_seed(SEED)
x, y = traces(1500, cfg)
x_val, y_val = traces(300, cfg)
model = GestureLSTM(cfg)
optimizer = torch.optim.Adam(model.parameters(), lr=cfg.lr)
for epoch in range(cfg.epochs):
    model.train()
    for idx in torch.randperm(len(x)).split(50):
        loss = nn.functional.cross_entropy(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
    print(f"epoch {epoch}: loss {loss.item():.3f} validation accuracy {accuracy:.3f}")
