"""Tissue type from raw detector counts (12-bit), a plain multilayer perceptron trained with SGD."""
# case: D01
# codes: data.unscaled-input
# split: fresh
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

# counts: 30 detector cells, four tissues with their own absorption curve
curves = 600 + 500 * rng.random((4, 30)).cumsum(1) ** 0.5
tissue = rng.integers(0, 4, 2000)
dose = rng.normal(1, 0.08, (2000, 1))
counts = np.clip(curves[tissue] * dose + rng.normal(0, 60, (2000, 30)), 0, 4095).astype(np.int16)

x = torch.from_numpy(counts.astype(np.float32))
#+ x = (x - x[:1500].mean(0)) / x[:1500].std(0)
y = torch.from_numpy(tissue)
fit = DataLoader(TensorDataset(x[:1500], y[:1500]), batch_size=50, shuffle=True)  #@
check = DataLoader(TensorDataset(x[1500:], y[1500:]), batch_size=500)

net = nn.Sequential(nn.Linear(30, 60), nn.Tanh(), nn.Linear(60, 30), nn.Tanh(), nn.Linear(30, 4))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for epoch in range(15):
    net.train()
    mean = 0
    for xb, yb in fit:
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(xb), yb)  #@
        loss.backward()
        opt.step()
        mean += loss.item() / len(fit)
    if epoch % 3 == 2:
        net.eval()
        with torch.no_grad():
            xb, yb = next(iter(check))
            acc = (net(xb).argmax(1) == yb).float().mean().item()
        print(f"after {epoch + 1} epochs: loss {mean:.3f}, accuracy {acc:.3f}")
