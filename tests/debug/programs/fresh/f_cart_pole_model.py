"""Model of a cart with a pole: next state from state and push, trained by heavy-ball steps."""
# case: O11
# codes: step.oscillating, step.learning-rate-too-high
# split: fresh
import torch
from torch import nn

SEED = 0


def dynamics(s, u, dt=0.1):
    x, v, a, w = s.T
    acc = u + 0.3 * torch.sin(a) - 0.1 * v
    ang = 2 * torch.sin(a) - torch.cos(a) * acc - 0.1 * w
    return torch.stack([v, acc, w, ang], 1) * dt


def batch_of(n):
    s, u = torch.randn(n, 4), 2 * torch.randn(n)
    return torch.cat([s, u[:, None]], 1), 10 * dynamics(s, u)


torch.manual_seed(SEED)
x, dx = batch_of(512)
xv, dxv = batch_of(400)
model = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 4))
opt = torch.optim.SGD(model.parameters(), lr=0.35, momentum=0.99)  #! opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
best = float("inf")
for step in range(1, 601):
    loss = nn.functional.mse_loss(model(x), dx)
    opt.zero_grad()
    loss.backward()
    opt.step()  #@
    best = min(best, loss.item())
    if step % 60 == 0:
        with torch.no_grad():
            print(f"step {step:4d}: loss {loss.item():.4f} (best {best:.4f}), fresh states {nn.functional.mse_loss(model(xv), dxv).item():.4f}")
