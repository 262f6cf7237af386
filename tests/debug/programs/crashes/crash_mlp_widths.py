"""Quality of steel plates from sensor readings: a funnel-shaped network."""
# case: crash
# codes: shape.mismatch
# split: held-out

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


def readings(n, w):
    x = torch.randn(n, 27)
    return x, torch.tanh(x @ w[:, :2]).sum(1, keepdim=True) + 0.05 * torch.randn(n, 1)


model = nn.Sequential(
    nn.Linear(27, 128),
    nn.LayerNorm(128),
    nn.ReLU(),
    nn.Linear(128, 64),  #@
    nn.ReLU(),
    nn.Linear(128, 32),  #! nn.Linear(64, 32),
    nn.ReLU(),
    nn.Linear(32, 1),
)
w = torch.randn(27, 2) / 27**0.5
x_train, y_train = readings(4000, w)
x_val, y_val = readings(1000, w)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
loss_fn = nn.MSELoss()

for epoch in range(6):
    model.train()
    for batch in torch.randperm(len(x_train)).split(80):
        prediction = model(x_train[batch])  #@
        loss = loss_fn(prediction, y_train[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val_loss = loss_fn(model(x_val), y_val).item()
    print(f"epoch {epoch} train {loss.item():.4f} val {val_loss:.4f} (variance {y_val.var().item():.3f})")
