"""Predict the home team's goals from the two teams and their recent form by minimising the Poisson deviance, written by hand."""
# case: N02
# codes: numeric.non-finite-gradient
# split: held-out

import numpy as np
import torch

SEED = 0
TEAMS = 24


def season(matches, rng, strength):
    home = rng.integers(0, TEAMS, matches)
    away = (home + rng.integers(1, TEAMS, matches)) % TEAMS
    attack, defence = strength
    form = rng.normal(0, 1, (matches, 2)).astype(np.float32)
    rate = np.exp(0.1 + attack[home] - defence[away] + 0.3 * (form[:, 0] - form[:, 1]))
    return home, away, form, rng.poisson(rate).astype(np.float32)


def deviance(goals, expected):
    ratio = goals / expected  #! ratio = torch.where(goals > 0, goals, expected) / expected
    surprise = torch.where(goals > 0, goals * torch.log(ratio), torch.zeros_like(goals))  #@
    return 2 * (surprise - goals + expected).mean()


class Ratings(torch.nn.Module):
    def __init__(self, dim=6):
        super().__init__()
        self.home = torch.nn.Embedding(TEAMS, dim)
        self.away = torch.nn.Embedding(TEAMS, dim)
        self.mix = torch.nn.Sequential(torch.nn.Linear(2 * dim + 2, 24), torch.nn.Tanh(), torch.nn.Linear(24, 1), torch.nn.Softplus())
        for table in (self.home, self.away):
            torch.nn.init.normal_(table.weight, std=0.3)

    def forward(self, home, away, form):
        return self.mix(torch.cat([self.home(home), self.away(away), form], dim=-1)).squeeze(-1) + 1e-3


def main():
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    strength = rng.normal(0, 0.5, (2, TEAMS))
    home, away, form, goals = (torch.from_numpy(column) for column in season(6000, rng, strength))
    past, future = slice(0, 5000), slice(5000, None)
    model = Ratings()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=400)
    constant = deviance(goals[future], torch.full_like(goals[future], goals[past].mean().item())).item()
    print(f"deviance of a constant forecast: {constant:.4f}")
    for step in range(1, 401):
        rows = torch.from_numpy(rng.integers(0, 5000, 128))
        loss = deviance(goals[rows], model(home[rows], away[rows], form[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 50 == 0:
            with torch.no_grad():
                test = deviance(goals[future], model(home[future], away[future], form[future]))
            print(f"step {step}: batch {loss.item():.4f}, coming season {test.item():.4f}")


main()
