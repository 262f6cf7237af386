"""Affine-coupling density model of the two-moons data, trained by maximum likelihood."""
# case: O04
# codes: step.unregistered-parameter, step.parameter-not-optimised
# split: held-out

import math

import torch
from sklearn.datasets import make_moons
from torch import nn

SEED = 0


class Coupling(nn.Module):
    def __init__(self, swap: bool, width: int = 32):
        super().__init__()
        self.swap = swap
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))

    def forward(self, x):
        a, b = x.flip(1).chunk(2, 1) if self.swap else x.chunk(2, 1)
        log_scale, shift = self.net(a).chunk(2, 1)
        log_scale = torch.tanh(log_scale)
        b = b * log_scale.exp() + shift
        return torch.cat([b, a] if self.swap else [a, b], 1), log_scale.squeeze(1)


class Flow(nn.Module):
    def __init__(self, depth: int):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(2))
        self.log_width = nn.Parameter(torch.zeros(2))
        self.steps = [Coupling(swap=bool(k % 2)) for k in range(depth)]  #! self.steps = nn.ModuleList(Coupling(swap=bool(k % 2)) for k in range(depth))

    def log_prob(self, x):
        logdet = torch.zeros(len(x))
        for step in self.steps:  #@
            x, extra = step(x)
            logdet = logdet + extra
        z = (x - self.loc) * torch.exp(-self.log_width)
        base = -0.5 * (z**2).sum(1) - self.log_width.sum() - math.log(2 * math.pi)
        return base + logdet


def sample(n: int, seed: int) -> torch.Tensor:
    points, _ = make_moons(n, noise=0.06, random_state=seed)
    return torch.tensor(points, dtype=torch.float32)


def main() -> None:
    torch.manual_seed(SEED)
    train, test = sample(2000, SEED), sample(500, SEED + 1000)
    mean, std = train.mean(0), train.std(0)
    train, test = (train - mean) / std, (test - mean) / std
    flow = Flow(6)
    adam = torch.optim.Adam(flow.parameters(), lr=5e-3)  #@
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 300)
    for it in range(300):
        batch = train[torch.randint(len(train), (256,))]
        nll = -flow.log_prob(batch).mean()
        adam.zero_grad()
        nll.backward()
        adam.step()
        cosine.step()
        if it % 60 == 59:
            with torch.no_grad():
                print(f"it {it + 1}: nll {nll.item():.3f}, test {-flow.log_prob(test).mean().item():.3f}")


main()
