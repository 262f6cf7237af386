"""Recommend books from loans: sparse embeddings, pairwise ranking with sampled negatives, two optimisers by kind."""
# case: healthy
# codes: none
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
READERS, BOOKS, SHELVES = 150, 200, 6


class Ranker(nn.Module):
    def __init__(self, dim=16):
        super().__init__()
        self.reader = nn.Embedding(READERS, dim, sparse=True)
        self.book = nn.Embedding(BOOKS, dim, sparse=True)
        self.shelf = nn.Linear(SHELVES, dim, bias=False)
        for table in (self.reader, self.book):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, r, b, shelf_of):
        return (self.reader(r) * (self.book(b) + self.shelf(shelf_of[b]))).sum(1)


def loans(g):
    shelf = torch.randint(0, SHELVES, (BOOKS,), generator=g)
    likes = torch.randint(0, SHELVES, (READERS, 2), generator=g)
    weight = torch.where((shelf[None] == likes[:, :1]) | (shelf[None] == likes[:, 1:]), 1.0, 0.04)
    taken = torch.multinomial(weight, 24, generator=g)
    return F.one_hot(shelf, SHELVES).float(), taken


g = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
shelf_of, taken = loans(g)
train, held = taken[:, :20], taken[:, 20:]
net = Ranker()
opt_sparse = torch.optim.SparseAdam([net.reader.weight, net.book.weight], lr=1e-2)
opt_dense = torch.optim.Adam(net.shelf.parameters(), lr=5e-3)


@torch.no_grad()
def auc():
    r = torch.arange(READERS).repeat_interleave(4)
    other = torch.randint(0, BOOKS, (len(r),), generator=g)
    return (net(r, held.flatten(), shelf_of) > net(r, other, shelf_of)).float().mean().item()


print(f"before: held-out pairs in order {auc():.3f}")
for epoch in range(1, 21):
    r = torch.arange(READERS).repeat_interleave(20)
    order = torch.randperm(len(r))
    total = 0.0
    for i in order.split(100):
        other = torch.randint(0, BOOKS, (len(i),))
        gap = net(r[i], train.flatten()[i], shelf_of) - net(r[i], other, shelf_of)
        loss = -F.logsigmoid(gap).mean()
        opt_sparse.zero_grad()
        opt_dense.zero_grad()
        loss.backward()
        opt_sparse.step()
        opt_dense.step()
        total += loss.item() / 30
    if epoch % 5 == 0:
        print(f"epoch {epoch}: loss {total:.3f}, held-out pairs in order {auc():.3f}")
