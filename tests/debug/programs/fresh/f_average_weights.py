"""Kiln temperature control: a policy network imitates an expert; an exponential average of its weights is deployed."""
# case: O21
# codes: step.update-lost
# split: fresh
import copy

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class Average:
    """Keeps a slowly following copy of a network."""

    def __init__(self, net, decay):
        self.shadow, self.decay = copy.deepcopy(net), decay
        for p in self.shadow.parameters():
            p.requires_grad_(False)

    def update(self, net):
        for s, p in zip(self.shadow.parameters(), net.parameters()):
            s = self.decay * s + (1 - self.decay) * p.detach()  #! s.mul_(self.decay).add_(p.detach(), alpha=1 - self.decay)

    def __call__(self, x):
        return self.shadow(x)


def kiln(n):
    state = torch.randn(n, 4)
    valve = torch.tanh(1.2 * state[:, 0] - 0.7 * state[:, 1] + 0.4 * state[:, 2] * state[:, 3])
    return state, valve[:, None]


s, v = kiln(2000)
st, vt = kiln(500)
policy = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
average = Average(policy, 0.97)
opt = torch.optim.Adam(policy.parameters(), lr=2e-3)
for epoch in range(20):
    for i in torch.randperm(2000).split(50):
        loss = nn.functional.mse_loss(policy(s[i]), v[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        average.update(policy)  #@
    if epoch % 4 == 3:
        with torch.no_grad():
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}, deployed controller mse {nn.functional.mse_loss(average(st), vt).item():.4f}")  #@
