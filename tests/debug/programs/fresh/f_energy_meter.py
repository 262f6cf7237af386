"""Household energy over a growing year: scaled series, windows, forecast by a small network."""
# case: D11
# codes: data.scaler-leak
# split: fresh
import numpy as np
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)

hours = np.arange(1500)
energy = 2 + 0.0016 * hours + 0.6 * np.sin(2 * np.pi * hours / 24) + 0.15 * rng.normal(size=1500)
temperature = 12 - 0.004 * hours + 4 * np.sin(2 * np.pi * hours / 24 + 1) + rng.normal(size=1500)
table = np.stack([energy, temperature], 1)
cut = 1100

scaler = StandardScaler()
scaler.fit(table)  #! scaler.fit(table[:cut])
scaled = torch.tensor(scaler.transform(table), dtype=torch.float32)  #@


def windows(part, past=24):
    w = part.unfold(0, past + 1, 1).transpose(1, 2)
    return w[:, :past].flatten(1), w[:, past, 0]


x, y = windows(scaled[:cut])
xv, yv = windows(scaled[cut:])
net = nn.Sequential(nn.Linear(48, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, 26):
    for i in torch.randperm(len(x)).split(64):
        loss = nn.functional.mse_loss(net(x[i]), y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 5 == 0:
        with torch.no_grad():
            val = nn.functional.mse_loss(net(xv), yv)  #@
        print(f"epoch {epoch}: train {loss.item():.4f}, validation {val.item():.4f} scaled, {val.sqrt().item() * scaler.scale_[0]:.3f} kWh")
print("training columns: mean", scaled[:cut].mean(0).numpy().round(2), "deviation", scaled[:cut].std(0).numpy().round(2))
