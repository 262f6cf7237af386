"""REINFORCE with a running baseline on a small grid: walk to the goal, avoid the pit."""
# case: H26
# codes: none
# split: held-out

import torch
from torch import nn
from torch.distributions import Categorical

SEED = 0
SIZE, HORIZON, ENVS, GAMMA = 5, 20, 64, 0.95
MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
GOAL, PIT = torch.tensor([4, 4]), torch.tensor([2, 2])


class Grid:
    """Many copies of the grid at once; each starts somewhere in the upper left corner."""

    def reset(self, n):
        self.position = torch.randint(0, 2, (n, 2))
        self.alive = torch.ones(n, dtype=torch.bool)
        return self.observe()

    def observe(self):
        cell = self.position[:, 0] * SIZE + self.position[:, 1]
        return nn.functional.one_hot(cell, SIZE * SIZE).float()

    def step(self, action):
        moved = (self.position + MOVES[action]).clamp(0, SIZE - 1)
        self.position = torch.where(self.alive[:, None], moved, self.position)
        at_goal = (self.position == GOAL).all(1) & self.alive
        in_pit = (self.position == PIT).all(1) & self.alive
        reward = at_goal.float() - in_pit.float() - 0.02 * self.alive.float()
        self.alive = self.alive & ~at_goal & ~in_pit
        return self.observe(), reward


def play(env, policy, n, greedy=False):
    obs = env.reset(n)
    log_probs, entropies, rewards, alive = [], [], [], []
    for _ in range(HORIZON):
        dist = Categorical(logits=policy(obs))
        action = dist.probs.argmax(-1) if greedy else dist.sample()
        alive.append(env.alive.float())
        obs, reward = env.step(action)
        log_probs.append(dist.log_prob(action))
        entropies.append(dist.entropy())
        rewards.append(reward)
    return (torch.stack(part) for part in (log_probs, entropies, rewards, alive))


def returns_to_go(rewards):
    out, running = [], torch.zeros(rewards.shape[1])
    for reward in rewards.flip(0):
        running = reward + GAMMA * running
        out.append(running)
    return torch.stack(out[::-1])


torch.manual_seed(SEED)
policy = nn.Sequential(nn.Linear(SIZE * SIZE, 32), nn.Tanh(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
env = Grid()
baseline = torch.zeros(HORIZON, 1)

for update in range(150):
    log_probs, entropies, rewards, alive = play(env, policy, ENVS)
    returns = returns_to_go(rewards)
    advantage = returns - baseline
    baseline = 0.9 * baseline + 0.1 * returns.mean(1, keepdim=True)
    loss = -((log_probs * advantage + 0.02 * entropies) * alive).sum() / alive.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if update % 25 == 24:
        with torch.no_grad():
            _, _, test_rewards, _ = play(env, policy, 200, greedy=True)
        score, reached = test_rewards.sum(0).mean().item(), (test_rewards > 0.5).any(0).float().mean().item()
        print(f"update {update + 1}: loss {loss.item():+.4f} return {rewards.sum(0).mean():.3f} | greedy return {score:.3f} goal reached {reached:.2f}")
