"""Forecast where a pedestrian at a crossing walks: a mixture of four whole trajectories, each with its own spread."""
# case: N03
# codes: numeric.non-finite-loss, numeric.non-finite-gradient
# split: held-out

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
SEEN, AHEAD, MODES = 8, 20, 4


def walks(count):
    """People come from the left and go straight on, turn left or turn right; a few change their pace."""
    heading = 0.4 * torch.randn(count)
    turn = torch.tensor([0.0, 0.16, -0.16])[torch.randint(3, (count,))]
    speed = 0.11 + 0.04 * torch.rand(count)
    hurry = torch.where(torch.rand(count) < 0.05, 0.3 + 2.0 * torch.rand(count), 1.0)[:, None]
    step = torch.arange(SEEN + AHEAD)
    angle = heading[:, None] + turn[:, None] * (step - SEEN).clamp_min(0)
    pace = torch.where(step < SEEN, 1.0, hurry) * speed[:, None]
    moves = pace[..., None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    path = moves.cumsum(1) + 0.02 * torch.randn(count, SEEN + AHEAD, 2)
    path = path - path[:, SEEN - 1 : SEEN]
    return path[:, :SEEN], path[:, SEEN:]


class Forecaster(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.trunk = nn.Sequential(nn.Flatten(), nn.Linear(2 * SEEN, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.weight = nn.Linear(width, MODES)
        self.mean = nn.Linear(width, MODES * AHEAD * 2)
        self.log_std = nn.Linear(width, MODES * AHEAD)
        nn.init.constant_(self.log_std.bias, 0.5)

    def forward(self, seen):
        h = self.trunk(seen)
        log_weight = self.weight(h).log_softmax(dim=-1)
        return log_weight, self.mean(h).view(-1, MODES, AHEAD, 2), self.log_std(h).view(-1, MODES, AHEAD, 1)


def negative_log_likelihood(mixture, future):
    log_weight, mean, log_std = mixture
    z = (future[:, None] - mean) * torch.exp(-log_std)
    log_density = (-0.5 * z.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(dim=(2, 3))
    likelihood = (log_weight + log_density).exp().sum(dim=1).log()  #! likelihood = (log_weight + log_density).logsumexp(dim=1)
    return -likelihood.mean() / (2 * AHEAD)  #@


torch.manual_seed(SEED)
train = DataLoader(TensorDataset(*walks(2000)), batch_size=50, shuffle=True)
seen_valid, future_valid = walks(400)
model = Forecaster()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(8):
    model.train()
    for seen, future in train:
        loss = negative_log_likelihood(model(seen), future)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        mixture = model(seen_valid)
        valid = negative_log_likelihood(mixture, future_valid)
        miss = (mixture[1] - future_valid[:, None]).norm(dim=-1).mean(-1).amin(1).mean()
    print(f"epoch {epoch}: train {loss.item():.3f}, validation {valid.item():.3f}, best mode off by {miss.item():.3f} m")
