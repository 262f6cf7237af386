"""Semi-supervised node classification with a two-layer graph convolution on a citation-like random graph."""
# case: L01
# codes: loss.probabilities-into-cross-entropy
# split: held-out
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parameter import Parameter

SEED = 0


def make_graph(n_nodes=420, n_classes=6, n_words=80, seed=SEED):
    rng = np.random.default_rng(seed)
    topic = rng.integers(0, n_classes, n_nodes)
    same = topic[:, None] == topic[None, :]
    links = rng.random((n_nodes, n_nodes)) < np.where(same, 0.07, 0.006)
    links = np.triu(links, 1)
    adj = (links | links.T | np.eye(n_nodes, dtype=bool)).astype(np.float32)
    degree = adj.sum(1)
    adj = adj / np.sqrt(degree[:, None] * degree[None, :])
    word_rate = rng.dirichlet(np.full(n_words, 0.3), n_classes)
    counts = np.stack([rng.multinomial(25, word_rate[t]) for t in topic]).astype(np.float32)
    counts /= counts.sum(1, keepdims=True)
    return torch.tensor(adj), torch.tensor(counts * 10), torch.tensor(topic), rng.permutation(n_nodes)


class GraphConv(nn.Module):
    def __init__(self, d_in, d_out):
        super().__init__()
        self.weight = Parameter(torch.empty(d_in, d_out))
        self.bias = Parameter(torch.zeros(d_out))
        bound = math.sqrt(6 / (d_in + d_out))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x, adj):
        return adj @ (x @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self, n_words, n_hidden, n_classes):
        super().__init__()
        self.gc1 = GraphConv(n_words, n_hidden)
        self.gc2 = GraphConv(n_hidden, n_classes)

    def forward(self, x, adj):
        h = F.relu(self.gc1(x, adj))
        h = F.dropout(h, 0.5, self.training)
        return F.softmax(self.gc2(h, adj), dim=1)  #! return self.gc2(h, adj)


torch.manual_seed(SEED)
adj, words, topic, order = make_graph()
idx_train, idx_val = torch.tensor(order[:180]), torch.tensor(order[180:])
net = GCN(words.shape[1], 32, int(topic.max()) + 1)
opt = torch.optim.Adam(net.parameters(), lr=0.02, weight_decay=5e-4)

for epoch in range(200):
    net.train()
    opt.zero_grad()
    out = net(words, adj)
    loss = F.cross_entropy(out[idx_train], topic[idx_train])  #@
    loss.backward()
    opt.step()
    if epoch % 20 == 19:
        net.eval()
        with torch.no_grad():
            out = net(words, adj)
            val_loss = F.cross_entropy(out[idx_val], topic[idx_val])
            val_acc = (out[idx_val].argmax(1) == topic[idx_val]).float().mean()
        print(f"epoch {epoch + 1:3d}  loss {loss:.4f}  val_loss {val_loss:.4f}  val_acc {val_acc:.3f}")
