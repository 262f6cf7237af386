"""Sort hotels into twelve price regions by their nightly prices; regions come as text labels from a list of rows."""
# case: D08
# codes: data.class-order
# split: fresh
import random

import torch
from torch import nn

SEED = 0
REGIONS = 12


def rows(n):
    for _ in range(n):
        r = random.randrange(REGIONS)
        yield [str(r)] + [random.gauss(2.2 * ((r * k) % 13 - 6), 1.5) for k in (1, 2, 3, 5, 7)]


class Labels:
    def __init__(self, names):
        self.names = sorted(names)
        self.index = {name: k for k, name in enumerate(self.names)}

    def encode(self, names):
        return torch.tensor([self.index[n] for n in names])


def table(lines):
    return torch.tensor([line[1:] for line in lines]) / 9, [line[0] for line in lines]


random.seed(SEED)
torch.manual_seed(SEED)
x, names = table(list(rows(1500)))
x_new, names_new = table(list(rows(400)))
labels = Labels(set(names))
y = labels.encode(names)
net = nn.Sequential(nn.Linear(5, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, REGIONS))
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
y_new = torch.tensor([int(n) for n in names_new])  #! y_new = labels.encode(names_new)
for epoch in range(16):
    for i in torch.randperm(1500).split(50):
        loss = nn.functional.cross_entropy(net(x[i]), y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 4 == 3:
        with torch.no_grad():
            train, new = (net(x).argmax(1) == y).float().mean(), (net(x_new).argmax(1) == y_new).float().mean()  #@
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, train {train:.3f}, new hotels {new:.3f}")
