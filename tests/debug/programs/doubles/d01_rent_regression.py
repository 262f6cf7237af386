"""Predict rents of synthetic flats from ten measurements with a small network."""
# case: double
# codes: loss.broadcast
# also: step.gradients-not-cleared
# split: rules

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def flats(n):
    x = torch.randn(n, 10)
    size, age, floor = x[:, 0], x[:, 1], x[:, 2]
    rent = 2.0 * size - 0.7 * age + 0.5 * size * floor + 0.3 * torch.sin(3 * x[:, 3]) + 0.2 * torch.randn(n)
    return x, rent / 2.2


def squared_error(prediction, target):
    return ((prediction - target) ** 2).mean()  #@


class RentNet(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, x):
        h = torch.relu(self.first(x))
        h = torch.relu(self.second(h))
        return self.last(h)  #! return self.last(h).squeeze(1)


x, y = flats(1600)
x_val, y_val = flats(400)
net = RentNet(10, 48)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(12):
    order = torch.randperm(len(x))
    running = 0.0
    for start in range(0, len(x), 64):
        idx = order[start : start + 64]
        loss = squared_error(net(x[idx]), y[idx])
        #+ optimizer.zero_grad()
        loss.backward()  #@
        optimizer.step()  #@
        running += loss.item() * len(idx)
    with torch.no_grad():
        val = squared_error(net(x_val), y_val).item()
    print(f"epoch {epoch + 1:2d} train {running / len(x):.4f} val {val:.4f}")
