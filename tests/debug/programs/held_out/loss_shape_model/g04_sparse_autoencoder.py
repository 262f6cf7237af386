"""Sparse autoencoder (dictionary learning) on activation vectors that are sparse sums of hidden directions."""
# case: G04
# codes: model.dead-units
# split: held-out
from dataclasses import dataclass, field

import torch
from torch import nn

SEED = 0


@dataclass
class SAEConfig:
    d_act: int = 32
    d_dict: int = 96
    l1: float = 0.3
    bias_start: float = -10.0  #! bias_start: float = 0.0
    lr: float = 3e-3
    batch: int = 256
    steps: int = 700
    betas: tuple = field(default=(0.9, 0.99))


class SparseAutoencoder(nn.Module):
    def __init__(self, cfg: SAEConfig):
        super().__init__()
        directions = nn.functional.normalize(torch.randn(cfg.d_dict, cfg.d_act), dim=1)
        self.W_enc = nn.Parameter(directions.T.clone())
        self.W_dec = nn.Parameter(directions.clone())
        self.b_enc = nn.Parameter(torch.full((cfg.d_dict,), cfg.bias_start))  #@
        self.b_dec = nn.Parameter(torch.zeros(cfg.d_act))

    def encode(self, act):
        return torch.relu((act - self.b_dec) @ self.W_enc + self.b_enc)  #@

    def forward(self, act):
        code = self.encode(act)
        return code @ self.W_dec + self.b_dec, code


class ActivationStream:
    """Endless batches: each vector is a sum of a few of 48 unit directions."""

    def __init__(self, cfg, seed):
        self.gen = torch.Generator().manual_seed(seed)
        self.directions = nn.functional.normalize(torch.randn(48, cfg.d_act, generator=self.gen), dim=1)
        self.batch = cfg.batch

    def __iter__(self):
        return self

    def __next__(self):
        on = torch.rand(self.batch, 48, generator=self.gen) < 0.06
        strength = 0.8 + torch.rand(self.batch, 48, generator=self.gen)
        return 1.5 * (on * strength) @ self.directions


def variance_explained(sae, act):
    with torch.no_grad():
        recon, code = sae(act)
    left = (recon - act).square().sum() / (act - act.mean(0)).square().sum()
    return 1 - left.item(), (code > 0).sum(1).double().mean().item()


def run(cfg):
    torch.manual_seed(SEED)
    stream = ActivationStream(cfg, SEED)
    sae = SparseAutoencoder(cfg)
    optimizer = torch.optim.Adam(sae.parameters(), lr=cfg.lr, betas=cfg.betas)
    for step, act in zip(range(cfg.steps), stream):
        recon, code = sae(act)
        mse = (recon - act).square().sum(1).mean()
        loss = mse + cfg.l1 * code.abs().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            explained, active = variance_explained(sae, next(stream))
            print(f"step {step + 1}: loss {loss.item():.4f} explained {explained:.3f} active features {active:.1f}")


run(SAEConfig())
