"""A one-block decoder that learns to continue simple melodies (notes of a scale, repeated motifs)."""
# case: L11
# codes: loss.label-shift
# split: fresh
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0


@dataclass
class ModelArgs:
    notes: int = 8
    dim: int = 32
    heads: int = 4
    context: int = 18


def melodies(n, args):
    out = torch.empty(n, args.context, dtype=torch.long)
    for i in range(n):
        motif = torch.randint(0, args.notes, (int(torch.randint(2, 5, (1,))),))
        out[i] = motif.repeat(10)[: args.context]
    return out


class Composer(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.a = a
        self.tok, self.pos = nn.Embedding(a.notes, a.dim), nn.Parameter(0.02 * torch.randn(a.context, a.dim))
        layer = nn.TransformerEncoderLayer(a.dim, a.heads, 4 * a.dim, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.lm_head = nn.Linear(a.dim, a.notes)
        self.register_buffer("mask", torch.full((a.context, a.context), float("-inf")).triu(1))

    def forward(self, idx):
        T = idx.shape[1]
        h = self.blocks(self.tok(idx) + self.pos[:T], mask=self.mask[:T, :T])
        return self.lm_head(h)

    @torch.no_grad()
    def continue_(self, idx, steps):
        for _ in range(steps):
            nxt = self(idx)[:, -1].argmax(-1, keepdim=True)
            idx = torch.cat([idx, nxt], 1)
        return idx


args = ModelArgs()
torch.manual_seed(SEED)
songs, unseen = melodies(800, args), melodies(100, args)
composer = Composer(args)
optim = torch.optim.AdamW(composer.parameters(), lr=4e-3)
for it in range(1, 401):
    seq = songs[torch.randint(0, len(songs), (32,))]
    inp, tgt = seq, seq  #! inp, tgt = seq[:, :-1], seq[:, 1:]
    loss = F.cross_entropy(composer(inp).flatten(0, 1), tgt.flatten())  #@
    optim.zero_grad(set_to_none=True)
    loss.backward()
    optim.step()
    if it % 100 == 0:
        print(f"iter {it}: loss {loss.item():.4f}")
written = composer.continue_(unseen[:, :10], 8)
print("continuation matches:", f"{(written[:, 10:] == unseen[:, 10:]).float().mean():.3f}")
