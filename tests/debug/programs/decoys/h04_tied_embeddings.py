"""Next-token model on a second-order Markov stream; input and output embeddings share one matrix."""
# case: H04
# codes: none
# split: held-out

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


@dataclass
class Config:
    vocab: int = 24
    dim: int = 48
    context: int = 32
    batch: int = 32
    steps: int = 250
    lr: float = 4e-3


class TiedGRU(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tok = nn.Embedding(cfg.vocab, cfg.dim)
        self.rnn = nn.GRU(cfg.dim, cfg.dim, batch_first=True)
        self.norm = nn.LayerNorm(cfg.dim)
        self.lm_head = nn.Linear(cfg.dim, cfg.vocab, bias=False)
        nn.init.normal_(self.tok.weight, std=cfg.dim**-0.5)
        self.lm_head.weight = self.tok.weight

    def forward(self, ids):
        h, _ = self.rnn(self.tok(ids))
        return self.lm_head(self.norm(h))


def sample_stream(table, n, g):
    seq = [0, 1]
    noise = torch.rand(n, generator=g)
    cumulative = table.cumsum(-1)
    for u in noise.tolist():
        row = cumulative[seq[-2], seq[-1]]
        seq.append(min(int((row < u).sum()), len(row) - 1))
    return torch.tensor(seq)


def get_batch(stream, cfg, g):
    start = torch.randint(len(stream) - cfg.context - 1, (cfg.batch,), generator=g)
    window = torch.stack([stream[i : i + cfg.context + 1] for i in start.tolist()])
    return window[:, :-1], window[:, 1:]


def main():
    cfg = Config()
    torch.manual_seed(SEED)
    g = torch.Generator().manual_seed(SEED + 1)
    logits = 3.0 * (torch.randn(cfg.vocab, 1, cfg.vocab, generator=g) + torch.randn(1, cfg.vocab, cfg.vocab, generator=g))
    table = logits.softmax(-1)
    train, val = sample_stream(table, 30_000, g), sample_stream(table, 6_000, g)
    entropy = -torch.stack([table[a, b, c].log() for a, b, c in zip(val, val[1:], val[2:], strict=False)]).mean()

    model = TiedGRU(cfg)
    opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.01)
    print(f"{sum(p.numel() for p in model.parameters())} parameters; entropy of the source {entropy:.3f}")
    for step in range(cfg.steps):
        model.train()
        ids, target = get_batch(train, cfg, g)
        loss = F.cross_entropy(model(ids).flatten(0, 1), target.flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        if step % 50 == 49:
            model.eval()
            with torch.no_grad():
                ids, target = get_batch(val, cfg, g)
                val_loss = F.cross_entropy(model(ids).flatten(0, 1), target.flatten()).item()
            print(f"step {step + 1}: train {loss.item():.3f} val {val_loss:.3f} (ppl {math.exp(val_loss):.2f})")


main()
