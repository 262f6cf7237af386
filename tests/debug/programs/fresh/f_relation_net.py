"""Do two parts fit together? A pair network that compares the scan of a part with a drawing."""
# case: G12
# codes: model.ignores-input
# split: fresh
import torch
from torch import nn

SEED = 0


class FitNet(nn.Module):
    def __init__(self, d=16, h=48):
        super().__init__()
        self.part, self.drawing = nn.Linear(d, h), nn.Linear(d, h)
        self.token = nn.Parameter(torch.randn(1, h) * 0.1)
        self.judge = nn.Sequential(nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, 2))

    def forward(self, part, drawing):
        a, b = self.part(part), self.drawing(drawing)
        both = (a - b).abs() + self.token
        both = self.token.expand_as(both)  #!
        return self.judge(both)  #@


def parts(n):
    p = torch.randn(n, 16)
    fits = torch.rand(n) < 0.4
    other = torch.randn(n, 16)
    d = torch.where(fits[:, None], p, other) + 0.3 * torch.randn(n, 16)
    return p, d, fits.long()


torch.manual_seed(SEED)
data, test = parts(1500), parts(400)
net = FitNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(12):
    tot = 0.0
    for i in torch.randperm(1500).split(50):
        p, d, fits = (t[i] for t in data)
        loss = nn.functional.cross_entropy(net(p, d), fits)
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 30
    if epoch % 3 == 2:
        with torch.no_grad():
            acc = (net(*test[:2]).argmax(1) == test[2]).float().mean().item()
        print(f"epoch {epoch + 1}: loss {tot:.3f}, accuracy {acc:.3f}")
