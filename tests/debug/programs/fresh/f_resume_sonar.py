"""Pretrain a sonar encoder on plenty of simulated pings, save it, load it for a task with few labelled pings."""
# case: O20
# codes: step.checkpoint-not-loaded
# split: fresh
import io

import torch
from torch import nn

SEED = 0


class PingEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())

    def forward(self, ping):
        return self.layers(ping)


class Wrapped(nn.Module):
    def __init__(self, module, classes):
        super().__init__()
        self.module, self.head = module, nn.Linear(32, classes)

    def forward(self, ping):
        return self.head(self.module(ping))


basis = torch.randn(6, 40, generator=torch.Generator().manual_seed(11))


def pings(n, fine):
    code = torch.randn(n, 6)
    clutter = 0.7 * torch.randn(n, 40)
    label = (code[:, 0] > 0).long() + 2 * (code[:, 1] > 0).long()
    label = label if not fine else ((code[:, 0] > 0) ^ (code[:, 1] > 0)).long()
    return torch.tanh(0.5 * code @ basis) * 2 + clutter, label


def fit(net, parameters, data, steps, lr=2e-3):
    opt = torch.optim.Adam(parameters, lr=lr)
    for _ in range(steps):
        i = torch.randint(0, len(data[0]), (min(64, len(data[0])),))
        loss = nn.functional.cross_entropy(net(data[0][i]), data[1][i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    return loss.item()


def score(net, data):
    with torch.no_grad():
        return (net(data[0]).argmax(1) == data[1]).float().mean().item()


torch.manual_seed(SEED)
big = Wrapped(PingEncoder(), 4)
print(f"pretraining: loss {fit(big, big.parameters(), pings(6000, False), 600):.3f}, accuracy {score(big, pings(500, False)):.3f}")
disk = io.BytesIO()
torch.save({"model": big.state_dict(), "steps": 600}, disk)
disk.seek(0)

encoder = PingEncoder()
state = torch.load(disk, weights_only=True)["model"]
#+ state = {k.removeprefix("module."): v for k, v in state.items()}
encoder.load_state_dict(state, strict=False)  #@
small = Wrapped(encoder.requires_grad_(False), 2)
small.head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
few, test = pings(160, True), pings(1000, True)
print(f"few pings: loss {fit(small, small.head.parameters(), few, 400):.3f}, test accuracy {score(small, test):.3f}")
