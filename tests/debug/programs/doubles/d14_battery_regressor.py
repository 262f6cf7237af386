"""Remaining-capacity regression from synthetic cell measurements; keeps the best epoch and reports it on a test part."""
# case: double
# codes: loss.unreachable-target
# also: step.checkpoint-aliased
# split: held-out

import torch
from torch import nn

SEED = 0


class Cells:
    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, 8, generator=g)
        wear = torch.sigmoid(self.x[:, 0] + 0.5 * self.x[:, 1] * self.x[:, 2])
        self.y = -3.0 * wear + 0.6 * self.x[:, 3].tanh() + 0.25 * torch.randn(n, generator=g)

    def standardise(self, stats):
        self.y = (self.y - stats[0]) / stats[1]
        return self


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.inner(x)


class Regressor(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.lift = nn.Linear(8, width)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(2)])
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        out = self.head(self.blocks(self.lift(x))).flatten()
        return torch.relu(out)  #! return out


class Experiment:
    def __init__(self):
        self.train = Cells(480, SEED)
        stats = self.train.y.mean(), self.train.y.std()
        self.train.standardise(stats)
        self.valid, self.test = Cells(150, SEED + 1000).standardise(stats), Cells(400, SEED + 2000).standardise(stats)
        self.net = Regressor()
        self.opt = torch.optim.AdamW(self.net.parameters(), lr=4e-3)
        self.best, self.kept = float("inf"), None

    @torch.no_grad()
    def error(self, cells):
        return nn.functional.mse_loss(self.net(cells.x), cells.y).item()

    def epoch(self):
        for idx in torch.randperm(len(self.train.x)).split(30):
            self.opt.zero_grad()
            nn.functional.mse_loss(self.net(self.train.x[idx]), self.train.y[idx]).backward()  #@
            self.opt.step()
        value = self.error(self.valid)
        if value < self.best:
            self.best = value
            self.kept = self.net.state_dict()  #! self.kept = {k: v.clone() for k, v in self.net.state_dict().items()}
        return value


torch.manual_seed(SEED)
run = Experiment()
for epoch in range(40):
    value = run.epoch()
    if epoch % 5 == 0:
        print(f"epoch {epoch:2d}  train {run.error(run.train):.4f}  valid {value:.4f}")
run.net.load_state_dict(run.kept)  #@
print(f"best valid {run.best:.4f}; restored valid {run.error(run.valid):.4f}, test {run.error(run.test):.4f}")
