"""Estimate the total of a wholesale order from the unordered items in it (a sum-pooling set network)."""
# case: L12
# codes: loss.target-scale
# split: held-out
import torch
import torch.nn as nn

SEED = 0


class OrderNet(nn.Module):
    def __init__(self, features, width=48):
        super().__init__()
        self.item = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.order = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, items, present):
        per_item = self.item(items) * present.unsqueeze(-1)
        return self.order(per_item.sum(dim=1) / 8).squeeze(-1)


def orders(n, generator, max_items=12, features=6):
    items = torch.randn(n, max_items, features, generator=generator)
    size = torch.randint(3, max_items + 1, (n, 1), generator=generator)
    present = (torch.arange(max_items) < size).float()
    price = 9000 * torch.exp(0.4 * items[..., 0]) * (1 + 0.3 * torch.tanh(items[..., 1] * items[..., 2]))
    total = (price * present).sum(1) * (1 + 0.02 * torch.randn(n, generator=generator))
    return items * present.unsqueeze(-1), present, total


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
items, present, total = orders(1500, gen)
n_train = 1200
net = OrderNet(items.shape[-1])
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
#+ centre, spread = total[:n_train].mean(), total[:n_train].std()
target = total  #! target = (total - centre) / spread

for epoch in range(12):
    net.train()
    order = torch.randperm(n_train, generator=gen)
    running = 0.0
    for start in range(0, n_train, 60):
        rows = order[start : start + 60]
        estimate = net(items[rows], present[rows])
        loss = criterion(estimate, target[rows])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item() * len(rows)
    net.eval()
    with torch.no_grad():
        estimate = net(items[n_train:], present[n_train:])
        val_loss = criterion(estimate, target[n_train:])
        unexplained = val_loss / target[n_train:].var()
    print(f"epoch {epoch:2d} | loss {running / n_train:.6g} | val {val_loss:.6g} | share of variance left {unexplained:.3f}")
