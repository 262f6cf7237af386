"""Return risk of orders: each order is a set of items of different size, pooled over the items."""
# case: G07
# codes: model.padding-dependence
# split: fresh
import random

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

SEED = 0


class OrderNet(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.item = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width))
        self.order = nn.Sequential(nn.ReLU(), nn.Linear(width, 2))

    def forward(self, items, sizes):
        h = self.item(items)
        pooled = h.mean(1)  #! pooled = (h * (torch.arange(h.shape[1]) < sizes[:, None]).unsqueeze(2)).sum(1) / sizes[:, None]
        return self.order(pooled)  #@


def make_order():
    size = min(1 + int(random.expovariate(0.25)), 30)
    items = torch.randn(size, 4)
    risk = (torch.sin(2 * items[:, 0]) + items[:, 1] * items[:, 2]).mean()
    return items, int(risk > 0)


def together(orders):
    items, labels = zip(*orders)
    return pad_sequence(items, batch_first=True), torch.tensor([len(i) for i in items]), torch.tensor(labels)


if __name__ == "__main__":
    random.seed(SEED)
    torch.manual_seed(SEED)
    data = [make_order() for _ in range(1500)]
    train, test = data[:1200], data[1200:]
    net = OrderNet()
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    for epoch in range(15):
        random.shuffle(train)
        for k in range(0, 1200, 40):
            items, sizes, labels = together(train[k : k + 40])
            loss = nn.functional.cross_entropy(net(items, sizes), labels)
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 3 == 2:
            with torch.no_grad():
                items, sizes, labels = together(test)
                whole = (net(items, sizes).argmax(1) == labels).float().mean().item()
                alone = sum(net(*together([o])[:2]).argmax().item() == o[1] for o in test) / len(test)
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}, test in one batch {whole:.3f}, one order at a time {alone:.3f}")
