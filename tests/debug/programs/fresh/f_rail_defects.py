"""Rail defects in ultrasonic strips, trained by iterations with a check every 20 of them."""
# case: M01
# codes: mode.training-in-eval
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


def strips(n):
    kind = torch.randint(0, 3, (n,))
    t = torch.arange(32.0)
    at = 6 + 20 * torch.rand(n, 1)
    bump = torch.exp(-(((t - at) / 2) ** 2)) - (kind == 1).float()[:, None] * torch.exp(-(((t - at - 4) / 2) ** 2))
    bump = torch.where((kind == 2)[:, None], -bump, bump)
    return (3 + 5 * (bump + 0.35 * torch.randn(n, 32)))[:, None], kind


class StripNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.na = nn.Conv1d(1, 24, 5, padding=2), nn.BatchNorm1d(24)
        self.b, self.nb = nn.Conv1d(24, 24, 5, padding=2), nn.BatchNorm1d(24)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(24 * 8, 3)

    def forward(self, x):
        x = nn.functional.max_pool1d(torch.relu(self.na(self.a(x))), 2)
        x = nn.functional.max_pool1d(torch.relu(self.nb(self.b(x))), 2)
        return self.out(self.drop(x.flatten(1)))


def check(net, loader):
    net.eval()
    with torch.no_grad():
        hits = sum((net(x).argmax(1) == k).sum().item() for x, k in loader)
    #+ net.train()
    return hits / len(loader.dataset)


def endless(loader):
    while True:
        yield from loader


train = DataLoader(TensorDataset(*strips(90)), batch_size=15, shuffle=True)
valid = DataLoader(TensorDataset(*strips(500)), batch_size=250)
net = StripNet()
opt = torch.optim.AdamW(net.parameters(), lr=3e-3)
print(f"before training: validation {check(net, valid):.3f}")
for it, (x, k) in enumerate(endless(train), 1):
    loss = nn.functional.cross_entropy(net(x), k)  #@
    opt.zero_grad()
    loss.backward()
    opt.step()
    if it % 20 == 0:
        acc = check(net, valid)
        if it % 100 == 0:
            print(f"iteration {it}: loss {loss.item():.3f}, validation {acc:.3f}")
    if it == 500:
        break
