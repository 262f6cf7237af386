"""Predict the spending of a customer from the items in the basket."""
# case: N02
# codes: numeric.non-finite-gradient
# split: rules

from dataclasses import dataclass

import torch
import torch.nn as nn

SEED = 0
MAX_ITEMS, FEATURES = 6, 5


@dataclass
class Baskets:
    items: torch.Tensor
    present: torch.Tensor
    customer: torch.Tensor
    spending: torch.Tensor

    def __getitem__(self, rows):
        return Baskets(self.items[rows], self.present[rows], self.customer[rows], self.spending[rows])

    def __len__(self):
        return len(self.spending)


def simulate(n):
    items = torch.randn(n, MAX_ITEMS, FEATURES)
    size = torch.randint(0, MAX_ITEMS + 1, (n,))
    present = (torch.arange(MAX_ITEMS) < size[:, None]).float()
    customer = torch.randn(n, 3)
    value = torch.relu(items[..., 0] + 0.5 * items[..., 1]) * present
    spending = value.sum(1) / size.clamp(min=1) + 0.3 * customer[:, 0] + 0.1 * torch.randn(n)
    return Baskets(items * present[..., None], present, customer, spending)


class BasketNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.item = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.read_out = nn.Sequential(nn.Linear(width + 3, width), nn.ReLU(), nn.Linear(width, 1))

    def pool(self, codes, present):
        total = (codes * present[..., None]).sum(1)
        count = present.sum(1, keepdim=True)
        return torch.where(count == 0, torch.zeros_like(total), total / count)  #! return torch.where(count == 0, torch.zeros_like(total), total / count.clamp(min=1))

    def forward(self, basket):
        pooled = self.pool(self.item(basket.items), basket.present)
        return self.read_out(torch.cat([pooled, basket.customer], dim=1)).squeeze(1)


def mean_squared_error(model, basket):
    return torch.mean((model(basket) - basket.spending) ** 2)


def main():
    torch.manual_seed(SEED)
    train, val = simulate(2400), simulate(600)
    model = BasketNet()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for epoch in range(5):
        epoch_loss = 0.0
        for rows in torch.randperm(len(train)).chunk(60):
            optimizer.zero_grad()
            loss = mean_squared_error(model, train[rows])
            loss.backward()
            optimizer.step()
            epoch_loss += loss.item() / 60
        with torch.no_grad():
            print(f"epoch {epoch}: train {epoch_loss:.4f} val {mean_squared_error(model, val).item():.4f}")


main()
