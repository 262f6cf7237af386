"""A one-block transformer language model on text from a second-order Markov chain."""
# case: L11
# codes: loss.label-shift
# split: rules

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0


@dataclass
class LMConfig:
    vocab: int = 16
    context: int = 32
    d_model: int = 48
    heads: int = 4
    batch: int = 32
    steps: int = 240
    lr: float = 5e-3


class Stream:
    """A long token stream and windows cut out of it."""

    def __init__(self, cfg, length, table):
        self.cfg = cfg
        noise = torch.rand(length)
        tokens = [0, 1]
        for i in range(2, length):
            likely = int(table[tokens[-2], tokens[-1]])
            tokens.append(likely if noise[i] < 0.9 else int(torch.randint(cfg.vocab, ())))
        self.tokens = torch.tensor(tokens)

    def sample(self):
        n = self.cfg.context
        start = torch.randint(len(self.tokens) - n - 1, (self.cfg.batch,))
        window = self.tokens[start[:, None] + torch.arange(n + 1)]
        return window[:, :-1], window[:, 1:]  #@


class TinyLM(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.token = nn.Embedding(cfg.vocab, cfg.d_model)
        self.place = nn.Parameter(0.1 * torch.randn(cfg.context, cfg.d_model))
        self.block = nn.TransformerEncoderLayer(
            cfg.d_model, cfg.heads, 4 * cfg.d_model, dropout=0.0, batch_first=True, norm_first=True
        )
        self.conv = nn.Conv1d(cfg.d_model, cfg.d_model, 2)
        self.norm = nn.LayerNorm(cfg.d_model)
        self.out = nn.Linear(cfg.d_model, cfg.vocab)

    def forward(self, ids, labels=None):
        h = self.token(ids)
        h = h + self.conv(F.pad(h.transpose(1, 2), (1, 0))).transpose(1, 2) + self.place[: ids.size(1)]
        mask = nn.Transformer.generate_square_subsequent_mask(ids.size(1))
        logits = self.out(self.norm(self.block(h, src_mask=mask, is_causal=True)))
        if labels is None:
            return logits, None
        scores, wanted = logits[:, :-1], labels[:, 1:]  #! scores, wanted = logits, labels
        return logits, F.cross_entropy(scores.flatten(0, 1), wanted.flatten())  #@


def main(cfg):
    torch.manual_seed(SEED)
    table = torch.randint(cfg.vocab, (cfg.vocab, cfg.vocab))
    train, valid = Stream(cfg, 20_000, table), Stream(cfg, 3_000, table)
    model = TinyLM(cfg)
    optimizer = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, cfg.lr, total_steps=cfg.steps, pct_start=0.1)
    for step in range(cfg.steps):
        ids, labels = train.sample()
        _, loss = model(ids, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 60 == 0:
            with torch.no_grad():
                ids, labels = valid.sample()
                logits, valid_loss = model(ids, labels)
            hit = (logits.argmax(-1) == labels).float().mean()
            print(f"{step + 1:4d} train {loss.item():.3f} valid {valid_loss.item():.3f} next token right {hit:.3f}")


main(LMConfig())
