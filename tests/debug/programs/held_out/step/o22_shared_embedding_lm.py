"""Word-level GRU language model on generated sentences; input and output embedding are one matrix."""
# case: O22
# codes: step.tied-weights-apart
# split: held-out

import math
import random

import torch
from torch import nn

SEED = 0
NOUNS = [f"noun{i}" for i in range(30)]
VERBS = [f"verb{i}" for i in range(15)]
PLACES = [f"place{i}" for i in range(15)]
WORDS = ["<s>", "the", "in", "."] + NOUNS + VERBS + PLACES
ID = {w: i for i, w in enumerate(WORDS)}


def sentence(rng):
    a = rng.randrange(30)
    b = (a + rng.choice([1, 2])) % 30
    words = ["<s>", "the", NOUNS[a], VERBS[a // 2], "the", NOUNS[b], "in", PLACES[b // 2], "."]
    return [ID[w] for w in words]


class LanguageModel(nn.Module):
    """Predicts the next word; shares one matrix between reading and writing words."""

    def __init__(self, words, dim=32):
        super().__init__()
        self.embedding = nn.Embedding(words, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.norm = nn.LayerNorm(dim)
        self.decoder = nn.Linear(dim, words)
        self.tie()

    def tie(self):
        self.decoder.weight = nn.Parameter(self.embedding.weight.detach().clone())  #! self.decoder.weight = self.embedding.weight
        nn.init.zeros_(self.decoder.bias)

    def forward(self, ids):
        states, _ = self.gru(self.embedding(ids))
        return self.decoder(self.norm(states))  #@


def cross_entropy(model, batch):
    logits = model(batch[:, :-1])
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1))


rng = random.Random(SEED)
torch.manual_seed(SEED)
train = torch.tensor([sentence(rng) for _ in range(300)])
valid = torch.tensor([sentence(rng) for _ in range(200)])
model = LanguageModel(len(WORDS))
print("parameters:", sum(p.numel() for p in model.parameters()))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(1, 21):
    model.train()
    for chunk in train[torch.randperm(len(train))].split(30):
        loss = cross_entropy(model, chunk)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    if epoch % 4 == 0:
        model.eval()
        with torch.no_grad():
            nll = cross_entropy(model, valid).item()
        print(f"epoch {epoch}: train {loss.item():.3f} valid {nll:.3f} perplexity {math.exp(nll):.2f}")
