"""Alarm or no alarm in a factory hall: three rare alarm types among normal minutes."""
# case: D17
# codes: data.imbalance
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

SEED = 0
torch.manual_seed(SEED)


def minutes(n):
    kind = torch.multinomial(torch.tensor([0.97, 0.01, 0.01, 0.01]), n, replacement=True)
    x = torch.randn(n, 12)
    for k in (1, 2, 3):
        x[kind == k, 3 * k : 3 * k + 3] += 1.9
    return x, kind


x, kind = minutes(3000)
xv, kindv = minutes(3000)
data = TensorDataset(x, kind)
loader = DataLoader(data, batch_size=100, shuffle=True)  #! loader = DataLoader(data, batch_size=100, sampler=WeightedRandomSampler(1.0 / torch.bincount(kind)[kind], 3000))
net = nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 4))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(9):
    for xb, kb in loader:
        loss = nn.functional.cross_entropy(net(xb), kb)
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 3 == 2:
        with torch.no_grad():
            guess = net(xv).argmax(1)
        found = [(guess[kindv == k] == k).float().mean().item() for k in range(4)]
        print(f"epoch {epoch + 1}: accuracy {(guess == kindv).float().mean():.3f}", "found", [round(f, 2) for f in found])  #@
