"""Behaviour cloning: a stochastic policy imitates the thruster controller of a drifting platform."""
# case: L09
# codes: loss.wrong-sign
# split: rules

import torch
from torch import nn
from torch.distributions import Categorical

SEED = 0
ACTIONS = ("left", "hold", "right")


class Platform:
    """Position, speed and wind; the pilot pushes left or right."""

    def __init__(self, count):
        self.position = torch.randn(count)
        self.speed = 0.5 * torch.randn(count)
        self.wind = 0.3 * torch.randn(count)

    def observe(self):
        return torch.stack([self.position, self.speed, self.wind], dim=1)

    def advance(self, action):
        self.speed = 0.95 * self.speed + 0.1 * (action - 1) + 0.05 * self.wind
        self.position = self.position + 0.2 * self.speed


def expert(obs):
    urge = -(obs[:, 0] + 1.6 * obs[:, 1] + 0.8 * obs[:, 2])
    return torch.where(urge > 0.25, 2, torch.where(urge < -0.25, 0, 1))


def demonstrations(platforms, steps):
    world, seen, done = Platform(platforms), [], []
    for _ in range(steps):
        obs = world.observe()
        action = expert(obs)
        seen.append(obs)
        done.append(action)
        world.advance(action)
    return torch.cat(seen), torch.cat(done)


class Policy(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh())
        self.logits = nn.Linear(hidden, len(ACTIONS))

    def forward(self, obs):
        return Categorical(logits=self.logits(self.trunk(obs)))


def update(policy, optimizer, obs, actions, entropy_bonus=1e-3):
    dist = policy(obs)
    log_prob = dist.log_prob(actions).mean()
    loss = log_prob - entropy_bonus * dist.entropy().mean()  #! loss = -log_prob - entropy_bonus * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


torch.manual_seed(SEED)
obs, actions = demonstrations(platforms=60, steps=40)
test_obs, test_actions = demonstrations(platforms=30, steps=40)
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=5e-3)
for step in range(1, 251):
    rows = torch.randint(len(obs), (128,))
    loss = update(policy, optimizer, obs[rows], actions[rows])
    if step % 50 == 0:
        with torch.no_grad():
            agree = (policy(test_obs).probs.argmax(1) == test_actions).float().mean().item()
        print(f"update {step}: loss {loss:.3f}, agrees with the expert {agree:.1%}")
