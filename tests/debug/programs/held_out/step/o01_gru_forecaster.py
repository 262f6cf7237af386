"""One-step-ahead forecasting of a noisy two-tone signal with a GRU and a small trainer class."""
# case: O01
# codes: step.gradients-not-cleared
# split: held-out

import math
from dataclasses import dataclass

import torch
from torch import nn

SEED = 0


@dataclass
class Config:
    window: int = 24
    hidden: int = 24
    lr: float = 3e-3
    steps: int = 240
    batch: int = 32


def signal(n: int) -> torch.Tensor:
    t = torch.arange(n, dtype=torch.float32)
    wave = torch.sin(2 * math.pi * t / 17) + 0.6 * torch.sin(2 * math.pi * t / 7.3 + 1.0)
    return wave + 0.05 * torch.randn(n)


class Forecaster(nn.Module):
    def __init__(self, hidden: int):
        super().__init__()
        self.rnn = nn.GRU(1, hidden, batch_first=True)
        self.read = nn.Linear(hidden, 1)

    def forward(self, past):
        states, _ = self.rnn(past.unsqueeze(-1))
        return self.read(states[:, -1]).squeeze(-1)


class Trainer:
    def __init__(self, net: nn.Module, cfg: Config):
        self.net, self.cfg = net, cfg
        self.opt = torch.optim.Adam(net.parameters(), lr=cfg.lr)
        self.loss_fn = nn.SmoothL1Loss()

    def fit(self, x, y, x_val, y_val):
        self.net.train()
        for step in range(1, self.cfg.steps + 1):
            pick = torch.randint(len(x), (self.cfg.batch,))
            loss = self.loss_fn(self.net(x[pick]), y[pick])
            #+ self.opt.zero_grad()
            loss.backward()  #@
            self.opt.step()  #@
            if step % 40 == 0:
                print(f"step {step:4d}  train {loss.item():.5f}  val {self.score(x_val, y_val):.5f}")

    @torch.no_grad()
    def score(self, x, y) -> float:
        self.net.eval()
        value = self.loss_fn(self.net(x), y).item()
        self.net.train()
        return value


def main():
    torch.manual_seed(SEED)
    cfg = Config()
    series = signal(1400)
    split = 1100
    mean, std = series[:split].mean(), series[:split].std()
    series = (series - mean) / std
    train, valid = series[:split], series[split:]
    x, y = train.unfold(0, cfg.window + 1, 1).split([cfg.window, 1], dim=1)
    x_val, y_val = valid.unfold(0, cfg.window + 1, 1).split([cfg.window, 1], dim=1)
    Trainer(Forecaster(cfg.hidden), cfg).fit(x, y.squeeze(1), x_val, y_val.squeeze(1))


if __name__ == "__main__":
    main()
