"""Tell which of five authors produced a short token sequence, with one block of attention and generator batches."""
# case: D09
# codes: data.not-shuffled
# split: held-out

import argparse

import numpy as np
import torch
from torch import nn

SEED = 0

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--authors", type=int, default=5)
parser.add_argument("--passages", type=int, default=440, help="passages an author")
parser.add_argument("--length", type=int, default=24)
parser.add_argument("--vocabulary", type=int, default=30)
parser.add_argument("--epochs", type=int, default=5)
args = parser.parse_args([])


def write(author, count, rng):
    """Passages from the author's own Markov chain."""
    habits = np.random.default_rng(1000 * SEED + author).dirichlet(np.full(args.vocabulary, 0.25), args.vocabulary)
    cumulative = habits.cumsum(1)
    tokens = rng.integers(0, args.vocabulary, (count, args.length))
    for t in range(1, args.length):
        draw = rng.random(count)[:, None]
        tokens[:, t] = (cumulative[tokens[:, t - 1]] < draw).sum(1).clip(max=args.vocabulary - 1)
    return tokens


def library(passages, rng):
    shelves = [write(author, passages, rng) for author in range(args.authors)]
    return np.concatenate(shelves), np.repeat(np.arange(args.authors), passages)


def batches(tokens, authors, size, rng=None):
    order = np.arange(len(tokens)) if rng is None else rng.permutation(len(tokens))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield torch.as_tensor(tokens[rows]), torch.as_tensor(authors[rows])


class Reader(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.token = nn.Embedding(args.vocabulary, width)
        self.pair = nn.Conv1d(width, width, 2)
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, args.authors)

    def forward(self, tokens):
        h = torch.relu(self.pair(self.token(tokens).transpose(1, 2))).transpose(1, 2)
        h = self.norm(h + self.attend(h, h, h, need_weights=False)[0])
        return self.out(h.mean(1))


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train, test = library(args.passages, rng), library(60, rng)
reader = Reader()
optimizer = torch.optim.Adam(reader.parameters(), lr=3e-3)
for epoch in range(args.epochs):
    reader.train()
    seen = []
    for tokens, authors in batches(*train, 44):  #! for tokens, authors in batches(*train, 44, rng):
        loss = nn.functional.cross_entropy(reader(tokens), authors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    reader.eval()
    with torch.no_grad():
        hits = sum((reader(t).argmax(1) == a).sum().item() for t, a in batches(*test, 100))
    print(f"epoch {epoch}: train {np.mean(seen):.3f} (last {seen[-1]:.3f}), test accuracy {hits / len(test[0]):.3f}")
