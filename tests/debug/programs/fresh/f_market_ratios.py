"""Sales per visitor of small shops: a learnt attribution of visitors to channels, rates by channel, sales as the sum."""
# case: N02
# codes: numeric.non-finite-gradient
# split: fresh
import torch
from torch import nn

SEED = 0


class ShopModel(nn.Module):
    def __init__(self, features=6, channels=3):
        super().__init__()
        self.share = nn.Linear(features, channels)
        self.worth = nn.Sequential(nn.Linear(features, 32), nn.Tanh(), nn.Linear(32, channels))

    def forward(self, shop, visitors, orders):
        spread = torch.softmax(self.share(shop), 1) * visitors[:, None]
        scale = torch.where(visitors[:, None] > 0, orders[:, None] / spread, torch.zeros_like(spread))  #! scale = torch.where(visitors[:, None] > 0, orders[:, None] / spread.clamp(min=1e-6), torch.zeros_like(spread))
        return (torch.log1p(scale) * self.worth(shop)).sum(1)


def shops(n):
    s = torch.randn(n, 6)
    visitors = torch.poisson(torch.full((n,), 4.0))
    orders = torch.floor(visitors * torch.rand(n))
    sales = torch.log1p(orders) * (1 + 0.5 * torch.tanh(s[:, 0]) - 0.4 * s[:, 1] * (s[:, 2] > 0))
    return s, visitors, orders, sales


def main():
    torch.manual_seed(SEED)
    data, test = shops(2000), shops(400)
    net = ShopModel()
    opt = torch.optim.Adam(net.parameters(), lr=5e-3)
    for epoch in range(20):
        for i in torch.randperm(2000).split(50):
            s, v, o, y = (t[i] for t in data)
            loss = nn.functional.smooth_l1_loss(net(s, v, o), y)
            opt.zero_grad()
            loss.backward()  #@
            opt.step()
        if epoch % 4 == 3:
            with torch.no_grad():
                err = (net(*test[:3]) - test[3]).abs().mean()
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}, mean abs error {err:.4f} (spread of sales {test[3].std():.3f})")


if __name__ == "__main__":
    main()
