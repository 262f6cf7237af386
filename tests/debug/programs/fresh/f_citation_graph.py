"""Semi-supervised node classification: two graph convolutions over a dense normalised adjacency matrix."""
# case: L03
# codes: loss.wrong-space-into-nll
# split: fresh
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn import Dropout, Linear, Module

SEED = 0
np.random.seed(SEED)
torch.manual_seed(SEED)

N, K, D = 360, 4, 40
y = np.random.randint(0, K, N)
p_edge = np.where(y[:, None] == y[None], 0.04, 0.005)
A = (np.random.rand(N, N) < p_edge).astype(float)
A = np.triu(A, 1)
A = A + A.T + np.eye(N)
d = 1 / np.sqrt(A.sum(1))
A_hat = torch.tensor(d[:, None] * A * d[None], dtype=torch.float32)
words = np.random.rand(N, D) < (0.06 + 0.22 * (np.arange(D)[None] % K == y[:, None]))
X = torch.tensor(words, dtype=torch.float32)
y = torch.tensor(y)
perm = torch.randperm(N)
idx_train, idx_val, idx_test = perm[:80], perm[80:160], perm[160:]


class GCN(Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super().__init__()
        self.lin1 = Linear(nfeat, nhid, bias=False)
        self.lin2 = Linear(nhid, nclass, bias=False)
        self.drop = Dropout(dropout)

    def forward(self, x, adj):
        x = F.relu(adj @ self.lin1(x))
        x = adj @ self.lin2(self.drop(x))
        return F.softmax(x, dim=1)  #! return F.log_softmax(x, dim=1)


model = GCN(D, 32, K, 0.4)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)


def accuracy(output, labels):
    return (output.max(1)[1] == labels).double().mean().item()


for epoch in range(120):
    model.train()
    optimizer.zero_grad()
    output = model(X, A_hat)
    loss_train = F.nll_loss(output[idx_train], y[idx_train])  #@
    loss_train.backward()
    optimizer.step()
    if epoch % 20 == 19:
        model.eval()
        with torch.no_grad():
            output = model(X, A_hat)
        print("Epoch: {:04d}".format(epoch + 1), "loss_train: {:.4f}".format(loss_train.item()),
              "acc_val: {:.4f}".format(accuracy(output[idx_val], y[idx_val])))
print("Test set results:", "loss= {:.4f}".format(F.nll_loss(output[idx_test], y[idx_test]).item()),
      "accuracy= {:.4f}".format(accuracy(output[idx_test], y[idx_test])))
