"""A one-block causal transformer on a Markov chain, trained in bfloat16 autocast."""
# case: G06
# codes: model.future-leak
# split: rules

import math

import torch
from torch import nn
from torch.nn import functional as F

SEED = 0
VOCAB, LENGTH, DIM, HEADS = 24, 32, 48, 4


def sample_chain(count, generator):
    """Sequences in which the next token depends on the one before it, by chance."""
    table = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(1)).mul(2.5).softmax(-1)
    tokens = torch.randint(VOCAB, (count, LENGTH + 1), generator=generator)
    for t in range(1, LENGTH + 1):
        tokens[:, t] = torch.multinomial(table[tokens[:, t - 1]], 1, generator=generator)[:, 0]
    return tokens


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.proj = nn.Linear(DIM, DIM)
        mask = torch.triu(torch.ones(LENGTH, LENGTH), diagonal=2).bool()  #! mask = torch.triu(torch.ones(LENGTH, LENGTH), diagonal=1).bool()
        self.register_buffer("mask", mask)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(DIM // HEADS)
        scores = scores.masked_fill(self.mask[:length, :length], float("-inf"))  #@
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, DIM))


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCAB, DIM), nn.Embedding(LENGTH, DIM)
        self.attention, self.norm1, self.norm2 = Attention(), nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))
        self.head = nn.Linear(DIM, VOCAB)

    def forward(self, tokens):
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x)


def loss_of(model, tokens):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(tokens[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


torch.manual_seed(SEED)
generator = torch.Generator().manual_seed(SEED)
train, val = sample_chain(3000, generator), sample_chain(200, generator)
model = LanguageModel()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98))
warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
for step in range(250):
    model.train()
    loss = loss_of(model, train[torch.randint(len(train), (32,))])
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    warmup.step()
    if step % 50 == 49:
        model.eval()
        with torch.no_grad():
            print(f"step {step + 1} train {loss.item():.3f} val perplexity {loss_of(model, val).exp().item():.2f}")
