"""Insect wing beats: a network for daytime records is reused, unchanged but for its head, on night records."""
# case: M05
# codes: mode.frozen-statistics-drift
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def wings(n, kinds, level):
    k = torch.randint(0, kinds, (n,))
    t = torch.arange(48.0)
    f = 0.35 + 0.22 * k.float()[:, None]
    s = torch.sin(f * t + 6.28 * torch.rand(n, 1)) + 0.4 * torch.randn(n, 48)
    return (s * level + 1.5 * (level - 1))[:, None], k


class Backbone(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv1d(1, 16, 9), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 24, 5), nn.BatchNorm1d(24), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten()
        )


def train(net, params, data, epochs, lr=4e-3):
    opt = torch.optim.Adam(params, lr=lr)
    for _ in range(epochs):
        net.train()
        #+ net[0].train(net[0][0].weight.requires_grad)
        for i in torch.randperm(len(data[0])).split(32):
            loss = nn.functional.cross_entropy(net(data[0][i]), data[1][i])  #@
            opt.zero_grad()
            loss.backward()
            opt.step()
    return loss.item()


@torch.no_grad()
def test(net, data):
    net.eval()
    return (net(data[0]).argmax(1) == data[1]).float().mean().item()


day, day_test = wings(800, 5, 1.0), wings(300, 5, 1.0)
backbone = Backbone()
day_net = nn.Sequential(backbone, nn.Linear(24, 5))
print(f"day: loss {train(day_net, day_net.parameters(), day, 8):.3f}, test {test(day_net, day_test):.3f}")

backbone.requires_grad_(False)
night, night_test = wings(400, 3, 2.2), wings(300, 3, 2.2)
night_net = nn.Sequential(backbone, nn.Linear(24, 3))
print(f"night: loss {train(night_net, night_net[1].parameters(), night, 8):.3f}, test {test(night_net, night_test):.3f}")
print(f"day again: test {test(day_net, day_test):.3f}")
