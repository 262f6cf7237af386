"""Signature verification: two pen traces, one embedding, Euclidean distance against a margin."""
# case: N01
# codes: numeric.non-finite-gradient
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
writers = torch.randn(30, 5)
pen = torch.randn(5, 40)


def trace(w):
    return torch.tanh(writers[w] @ pen / 2) + 0.25 * torch.randn(len(w), 40)


def pairs(n, known):
    first = torch.randint(0, 30, (n,))
    same = torch.rand(n) < 0.5
    second = torch.where(same, first, (first + torch.randint(1, 30, (n,))) % 30)
    a, b = trace(first), trace(second)
    scanned_twice = same & (torch.rand(n) < 0.03) & known
    b[scanned_twice] = a[scanned_twice]
    return a, b, same.float()


class Verifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 16))

    def forward(self, a, b):
        d = self.embed(a) - self.embed(b)
        return (d * d).sum(1).sqrt()  #! return (d * d).sum(1).add(1e-8).sqrt()


net = Verifier()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
test = pairs(600, False)
for step in range(1, 601):
    a, b, same = pairs(64, True)
    dist = net(a, b)
    loss = (same * dist**2 + (1 - same) * torch.relu(2 - dist) ** 2).mean()
    opt.zero_grad()
    loss.backward()  #@
    opt.step()
    if step % 150 == 0:
        with torch.no_grad():
            right = ((net(*test[:2]) < 1.2).float() == test[2]).float().mean()
        print(f"step {step}: loss {loss.item():.4f}, pairs judged right {right:.3f}")
