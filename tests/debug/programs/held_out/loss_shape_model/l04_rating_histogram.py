"""Predict the whole histogram of star ratings of a product from its attributes (label distribution learning)."""
# case: L04
# codes: loss.wrong-space-into-kl
# split: held-out
from dataclasses import dataclass

import torch
from torch import nn

SEED = 0


@dataclass
class Config:
    n_products: int = 1200
    n_attributes: int = 12
    stars: int = 5
    width: int = 64
    lr: float = 3e-3
    steps: int = 300
    batch: int = 100


class HistogramNet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.stem = nn.Linear(cfg.n_attributes, cfg.width)
        self.norm = nn.LayerNorm(cfg.width)
        self.mix = nn.Linear(cfg.width, cfg.width)
        self.out = nn.Linear(cfg.width, cfg.stars)

    def forward(self, x):
        h = nn.functional.gelu(self.norm(self.stem(x)))
        h = h + nn.functional.gelu(self.mix(h))
        return self.out(h)


def sample_products(cfg, generator):
    x = torch.randn(cfg.n_products, cfg.n_attributes, generator=generator)
    quality = torch.randn(cfg.n_attributes, generator=generator)
    quality = 3 + 1.2 * torch.tanh(x @ quality / cfg.n_attributes**0.5)
    dispute = 0.4 + 1.2 * torch.sigmoid(x[:, 0] * x[:, 1])
    star = torch.arange(1, cfg.stars + 1).float()
    votes = torch.softmax(-((star - quality[:, None]) ** 2) / (2 * dispute[:, None] ** 2), dim=1)
    return x, votes


def run(cfg):
    generator = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    x, votes = sample_products(cfg, generator)
    n_train = int(0.8 * len(x))
    x_train, x_val, v_train, v_val = x[:n_train], x[n_train:], votes[:n_train], votes[n_train:]
    net = HistogramNet(cfg)
    divergence = nn.KLDivLoss(reduction="batchmean")
    optimizer = torch.optim.AdamW(net.parameters(), lr=cfg.lr)
    for step in range(1, cfg.steps + 1):
        pick = torch.randint(0, n_train, (cfg.batch,), generator=generator)
        predicted = torch.softmax(net(x_train[pick]), dim=1)  #! predicted = torch.log_softmax(net(x_train[pick]), dim=1)
        loss = divergence(predicted, v_train[pick])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            with torch.no_grad():
                share = torch.softmax(net(x_val), dim=1)
            star = torch.arange(1.0, cfg.stars + 1)
            stars_off = ((share - v_val) @ star).abs().mean()
            moved = (share - v_val).abs().sum(1).mean() / 2
            print(f"step {step}: loss {loss.item():.4f}, mean rating off by {stars_off:.3f}, mass misplaced {moved:.3f}")


if __name__ == "__main__":
    run(Config())
