"""Sequence to sequence: sort a short string of digits; the decoder is trained on the true previous symbols."""
# case: H21
# codes: none
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)

SYMBOLS, START, LENGTH = 8, 8, 5


class Seq2Seq(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.src = nn.Embedding(SYMBOLS, dim)
        self.tgt = nn.Embedding(SYMBOLS + 1, dim)
        self.encoder = nn.GRU(dim, dim, batch_first=True)
        self.decoder = nn.GRU(dim, dim, batch_first=True)
        self.proj = nn.Linear(dim, SYMBOLS)

    def encode(self, source):
        _, state = self.encoder(self.src(source))
        return state

    def decode(self, previous, state):
        h, state = self.decoder(self.tgt(previous), state)
        return self.proj(h), state

    def forward(self, source, target):
        start = torch.full((len(target), 1), START)
        previous = torch.cat([start, target[:, :-1]], dim=1)
        return self.decode(previous, self.encode(source))[0]

    @torch.no_grad()
    def generate(self, source):
        state = self.encode(source)
        token = torch.full((len(source), 1), START)
        out = []
        for _ in range(source.shape[1]):
            logits, state = self.decode(token, state)
            token = logits.argmax(-1)
            out.append(token)
        return torch.cat(out, dim=1)


def pairs(n):
    source = torch.randint(SYMBOLS, (n, LENGTH))
    return source, source.sort(dim=1).values


source, target = pairs(6000)
seen = {tuple(row) for row in source.tolist()}
val_source, val_target = pairs(800)
fresh = torch.tensor([tuple(row) not in seen for row in val_source.tolist()])
val_source, val_target = val_source[fresh], val_target[fresh]

model = Seq2Seq()
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(6):
    model.train()
    for idx in torch.randperm(len(source)).split(100):
        logits = model(source[idx], target[idx])
        loss = F.cross_entropy(logits.transpose(1, 2), target[idx])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    made = model.generate(val_source)
    tokens = (made == val_target).float().mean().item()
    whole = (made == val_target).all(1).float().mean().item()
    print(f"epoch {epoch}: loss {loss.item():.3f}, greedy decoding: tokens {tokens:.3f}, whole strings {whole:.3f}")
