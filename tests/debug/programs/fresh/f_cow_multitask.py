"""Cow collars: behaviour (class), step rate (regression) and rumination (binary), weighted by learnt uncertainties."""
# case: healthy
# codes: none
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


class Collar(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.shared = nn.Sequential(nn.Conv1d(3, 16, 7, stride=2), nn.ReLU(), nn.Conv1d(16, width, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten())
        self.behaviour, self.rate, self.ruminates = nn.Linear(4 * width, 3), nn.Linear(4 * width, 1), nn.Linear(4 * width, 1)
        self.log_var = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        h = self.shared(x)
        return self.behaviour(h), self.rate(h).squeeze(1), self.ruminates(h).squeeze(1)

    def combine(self, losses):
        return (torch.exp(-self.log_var) * losses + self.log_var).sum()


def collars(n):
    t = torch.arange(60) / 10
    b, r = torch.randint(0, 3, (n,)), (torch.rand(n) < 0.5).float()
    f = torch.where(b == 0, 0.3, torch.where(b == 1, 1.0, 1.8)) + 0.2 * torch.rand(n)
    phase = 6.28 * torch.rand(n, 1)
    legs = torch.sin(6.28 * f[:, None] * t + phase)
    jaw = r[:, None] * torch.sin(6.28 * 1.3 * t + 6.28 * torch.rand(n, 1))
    x = torch.stack([legs, 0.5 * legs.roll(3, 1), jaw], 1) + 0.4 * torch.randn(n, 3, 60)
    return x, b, f - 1, r


torch.manual_seed(SEED)
train, test = collars(1000), collars(300)
net = Collar()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, 16):
    for i in torch.randperm(1000).split(40):
        x, b, f, r = (t[i] for t in train)
        ob, of, orum = net(x)
        losses = torch.stack([F.cross_entropy(ob, b), F.mse_loss(of, f), F.binary_cross_entropy_with_logits(orum, r)])
        total = net.combine(losses)
        opt.zero_grad()
        total.backward()
        opt.step()
    if epoch % 3 == 0:
        with torch.no_grad():
            ob, of, orum = net(test[0])
        print(f"epoch {epoch}: total {total.item():.3f}", f"behaviour {(ob.argmax(1) == test[1]).float().mean():.3f}", f"rate rmse {F.mse_loss(of, test[2]).sqrt():.3f}", f"rumination {((orum > 0).float() == test[3]).float().mean():.3f}")
