"""Fine-tuning on fruit pictures: pretrain on shapes and colours, then keep the trunk as it is and fit a new head."""
# case: O05
# codes: step.frozen-parameter-optimised
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
PALETTE = torch.tensor([[1.0, 0.2, 0.2], [0.3, 0.9, 0.2], [1.0, 0.9, 0.2], [0.9, 0.5, 0.1], [0.5, 0.2, 0.8], [0.2, 0.4, 0.9]])


def fruit(n, kinds):
    k = torch.randint(0, len(kinds), (n,))
    colour = PALETTE[torch.tensor(kinds)[k]]
    g = torch.linspace(-1, 1, 12)
    r2 = g[:, None] ** 2 + (g[None] * (1 + 0.4 * (k % 2).float())[:, None, None]) ** 2
    blob = (r2 < 0.6).float()[:, None]
    return colour[:, :, None, None] * blob + 0.3 * torch.randn(n, 3, 12, 12), k


def trunk():
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


class FruitNet(nn.Module):
    def __init__(self, kinds):
        super().__init__()
        self.trunk, self.head = trunk(), nn.Linear(24, kinds)

    def forward(self, x):
        return self.head(self.trunk(x))


def fit(net, params, data, test, epochs, lr):
    opt = torch.optim.Adam(params, lr=lr)  #@
    for epoch in range(epochs):
        net.train()
        for i in torch.randperm(len(data[0])).split(32):
            out = net(data[0][i])
            loss = nn.functional.cross_entropy(out, data[1][i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            acc = (net(test[0]).argmax(1) == test[1]).float().mean()
        print(f"  {epoch}: loss {loss.item():.3f} accuracy {acc:.3f}")


old = FruitNet(3)
print("base task")
fit(old, old.parameters(), fruit(400, [0, 1, 2]), fruit(150, [0, 1, 2]), 4, 5e-3)
net = FruitNet(3)
net.trunk.load_state_dict(old.trunk.state_dict())
for name, p in net.named_parameters():
    if "trunk.1" not in name and "trunk.5" not in name:  #! if name.startswith("trunk") and "trunk.1" not in name and "trunk.5" not in name:
        p.requires_grad = False
print("new fruit")
fit(net, [*net.head.parameters(), *net.trunk[1].parameters(), *net.trunk[5].parameters()], fruit(300, [3, 4, 5]), fruit(150, [3, 4, 5]), 8, 5e-3)
