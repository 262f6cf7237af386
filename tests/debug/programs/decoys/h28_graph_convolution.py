"""Semi-supervised node classification on one graph with a two-layer GCN."""
# case: H28
# codes: none
# split: rules

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
torch.manual_seed(SEED)

N, CLASSES, FEATURES = 300, 4, 24


def community_graph():
    y = torch.randint(CLASSES, (N,))
    same = y[:, None] == y[None, :]
    probability = torch.where(same, 0.08, 0.008)
    upper = torch.triu(torch.rand(N, N) < probability, diagonal=1)
    adjacency = (upper | upper.t()).float()
    features = 0.45 * torch.randn(CLASSES, FEATURES)[y] + torch.randn(N, FEATURES)
    return features, adjacency, y


def normalise(adjacency):
    a = adjacency + torch.eye(len(adjacency))
    d = a.sum(1).rsqrt()
    return d[:, None] * a * d[None, :]


class GCN(nn.Module):
    def __init__(self, n_in, hidden, n_out, dropout=0.4):
        super().__init__()
        self.lin1 = nn.Linear(n_in, hidden)
        self.lin2 = nn.Linear(hidden, n_out)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, a_hat):
        h = F.relu(a_hat @ self.lin1(self.dropout(x)))
        return a_hat @ self.lin2(self.dropout(h))


x, adjacency, y = community_graph()
a_hat = normalise(adjacency)
perm = torch.randperm(N)
train_nodes, val_nodes, test_nodes = perm[:80], perm[80:160], perm[160:]
model = GCN(FEATURES, 32, CLASSES)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
best_val, best_test = 0.0, 0.0

for epoch in range(120):
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x, a_hat)[train_nodes], y[train_nodes])
    loss.backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        hit = (model(x, a_hat).argmax(1) == y).float()
    val, test = hit[val_nodes].mean().item(), hit[test_nodes].mean().item()
    if val > best_val:
        best_val, best_test = val, test
    if epoch % 20 == 19:
        print(f"epoch {epoch + 1} loss {loss.item():.3f} val {val:.3f} (best {best_val:.3f}, test there {best_test:.3f})")
