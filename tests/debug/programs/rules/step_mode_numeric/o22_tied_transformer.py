"""One-block causal transformer on a repeating token pattern; input and output share one embedding matrix."""
# case: O22
# codes: step.tied-weights-apart
# split: rules

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0


@dataclass
class GPTConfig:
    vocab: int = 40
    context: int = 24
    width: int = 48
    heads: int = 4
    tie_weights: bool = True


class Block(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(cfg.width), nn.LayerNorm(cfg.width)
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width)
        self.out = nn.Linear(cfg.width, cfg.width)
        self.mlp = nn.Sequential(nn.Linear(cfg.width, 4 * cfg.width), nn.GELU(), nn.Linear(4 * cfg.width, cfg.width))
        self.heads = cfg.heads

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.qkv(self.ln1(x)).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.ln2(x))


class MiniGPT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.tok = nn.Embedding(cfg.vocab, cfg.width)
        self.pos = nn.Embedding(cfg.context, cfg.width)
        self.blocks = nn.ModuleList([Block(cfg)])
        self.ln = nn.LayerNorm(cfg.width)
        self.lm_head = nn.Linear(cfg.width, cfg.vocab, bias=False)
        nn.init.normal_(self.tok.weight, std=0.02)
        nn.init.normal_(self.pos.weight, std=0.02)
        if cfg.tie_weights:
            self.lm_head.weight = nn.Parameter(self.tok.weight.clone())  #! self.lm_head.weight = self.tok.weight

    def forward(self, idx, targets):
        x = self.tok(idx) + self.pos.weight[: idx.size(1)]
        for block in self.blocks:
            x = block(x)
        logits = self.lm_head(self.ln(x))
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def batch(cfg, size, generator):
    period = torch.randint(3, 7, (size, 1), generator=generator)
    motif = torch.randint(cfg.vocab, (size, 6), generator=generator)
    stream = motif.gather(1, torch.arange(cfg.context + 1) % period)
    return stream[:, :-1], stream[:, 1:]


cfg = GPTConfig()
torch.manual_seed(SEED)
train_rng, val_rng = torch.Generator().manual_seed(SEED), torch.Generator().manual_seed(SEED + 1000)
model = MiniGPT(cfg)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95))
for it in range(200):
    _, loss = model(*batch(cfg, 20, train_rng))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if it % 40 == 39:
        with torch.no_grad():
            _, val_loss = model(*batch(cfg, 128, val_rng))
        print(f"iter {it + 1}: loss {loss.item():.4f}, val {val_loss.item():.4f}")
