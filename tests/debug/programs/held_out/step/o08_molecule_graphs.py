"""Message passing on small random graphs (dense adjacency), regression of a count of coloured triangles and edges."""
# case: O08
# codes: step.graph-cut
# split: held-out

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, random_split

SEED = 0
NODES, COLOURS = 9, 4


class Graphs(torch.utils.data.Dataset):
    def __init__(self, n):
        upper = (torch.rand(n, NODES, NODES) < 0.35).float().triu(1)
        self.adj = upper + upper.transpose(1, 2)
        self.colour = torch.randint(COLOURS, (n, NODES))
        warm = (self.colour < 2).float()
        same = warm.unsqueeze(1) * warm.unsqueeze(2)
        edges = (self.adj * same).sum((1, 2)) / 2
        isolated = ((self.adj * warm.unsqueeze(1)).sum(2) == 0).float().sum(1)
        self.y = edges / 3 - isolated / 3
        self.y = (self.y - self.y.mean()) / self.y.std()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.colour[i], self.adj[i], self.y[i]


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, h, adj):
        return self.norm(h + torch.relu(self.own(h) + adj @ self.other(h)))


class GraphNet(nn.Module):
    def __init__(self, width=24, depth=3):
        super().__init__()
        self.width = width
        self.colour = nn.Embedding(COLOURS, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, colour, adj):
        h = self.colour(colour)
        for layer in self.layers:
            h = layer(h, adj)
        nodes = torch.unbind(h, 1)
        pooled = torch.stack([n.data for n in nodes]).sum(0) / NODES  #! pooled = torch.stack([n for n in nodes]).sum(0) / NODES
        return self.out(pooled).squeeze(-1)


def run_epoch(net, loader, optimizer=None):
    net.train(optimizer is not None)
    total = 0.0
    with torch.set_grad_enabled(optimizer is not None):
        for colour, adj, y in loader:
            loss = nn.functional.mse_loss(net(colour, adj), y)
            if optimizer:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            total += loss.item() * len(y)
    return total / len(loader.dataset)


if __name__ == "__main__":
    torch.manual_seed(SEED)
    train_set, val_set = random_split(Graphs(1500), [1200, 300])
    train_loader = DataLoader(train_set, batch_size=50, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=100)
    net = GraphNet()
    optimizer = torch.optim.RAdam(net.parameters(), lr=3e-3)
    for epoch in range(10):
        print(f"epoch {epoch}  train {run_epoch(net, train_loader, optimizer):.4f}  valid {run_epoch(net, val_loader):.4f}")
