"""Sort single heartbeats into regular and irregular ones; the few recordings are multiplied with jittered copies."""
# case: D10
# codes: data.split-overlap
# split: held-out

import torch
from torch import nn
from torch.nn import functional as F

SEED = 0
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def beats(count):
    """A beat is a sum of bumps; irregular ones have a late, wider third bump, everyone's heart differs otherwise."""
    t = torch.linspace(0, 1, 80)
    irregular = torch.rand(count) < 0.5
    x = torch.zeros(count, 80)
    for k in range(4):
        place = 0.15 + 0.2 * k + 0.02 * torch.randn(count)
        width = 0.03 * (0.3 * torch.randn(count)).exp()
        height = 1 + 0.4 * torch.randn(count)
        if k == 2:
            place, width = place + 0.06 * irregular, width * (1 + 0.6 * irregular)
        x += height[:, None] * torch.exp(-(((t - place[:, None]) / width[:, None]) ** 2) / 2)
    return x - 0.45, irregular.long()


def multiply(x, y, copies):
    gain = 1 + 0.03 * torch.randn(copies, len(x), 1)
    jitter = 0.03 * torch.randn(copies, *x.shape)
    return (x * gain + jitter).flatten(0, 1), y.repeat(copies)


def split(x, y, share):
    mixed = torch.randperm(len(x))
    held = int(share * len(x))
    return x[mixed[held:]], y[mixed[held:]], x[mixed[:held]], y[mixed[:held]]


torch.manual_seed(SEED)
x, y = beats(560)
x, y = multiply(x, y, 4)  #!
x_fit, y_fit, x_val, y_val = split(x, y, 0.25)  #@
#+ x_fit, y_fit = multiply(x_fit, y_fit, 4)
x_fit, y_fit, x_val, y_val = (tensor.to(device) for tensor in (x_fit, y_fit, x_val, y_val))

net = nn.Sequential(
    nn.Unflatten(1, (1, 80)), nn.Conv1d(1, 24, 9, padding=4), nn.ReLU(), nn.AvgPool1d(2),
    nn.Conv1d(24, 24, 9, padding=4), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(480, 2),
).to(device)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(10):
    net.train()
    total = 0.0
    for rows in torch.randperm(len(x_fit), device=device).split(60):
        loss = F.cross_entropy(net(x_fit[rows]), y_fit[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    net.eval()
    with torch.no_grad():
        logits = net(x_val)
    scores = F.cross_entropy(logits, y_val).item(), (logits.argmax(1) == y_val).float().mean().item()
    print(f"{epoch}: fit {total / len(x_fit):.3f}  val {scores[0]:.3f}  val accuracy {scores[1]:.3f}")
