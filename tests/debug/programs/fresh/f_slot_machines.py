"""Contextual bandit by REINFORCE: one of six slot machines pays, which one depends on the lamp that is lit."""
# case: healthy
# codes: none
# split: fresh
import torch
from torch import nn
from torch.distributions import Categorical

SEED = 0
torch.manual_seed(SEED)
LAMPS, ARMS = 8, 6
chance = torch.rand(LAMPS, ARMS) * 0.4
chance[torch.arange(LAMPS), torch.randint(0, ARMS, (LAMPS,))] = 0.9

policy = nn.Sequential(nn.Embedding(LAMPS, 16), nn.Tanh(), nn.Linear(16, ARMS))
opt = torch.optim.Adam(policy.parameters(), lr=1e-2)
baseline = torch.zeros(LAMPS)
won = []
for play in range(1, 1001):
    lamp = torch.randint(0, LAMPS, (32,))
    choice = Categorical(logits=policy(lamp))
    arm = choice.sample()
    reward = torch.bernoulli(chance[lamp, arm])
    advantage = reward - baseline[lamp]
    loss = -(choice.log_prob(arm) * advantage).mean() - 0.01 * choice.entropy().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    baseline.index_put_((lamp,), 0.95 * baseline[lamp] + 0.05 * reward)
    won.append(reward.mean())
    if play % 200 == 0:
        print(f"play {play}: reward {torch.stack(won[-200:]).mean():.3f}, surrogate {loss.item():+.4f}")
with torch.no_grad():
    best = policy(torch.arange(LAMPS)).argmax(1)
print(f"greedy pays {chance[torch.arange(LAMPS), best].mean():.3f} of possible {chance.max(1).values.mean():.3f}")
