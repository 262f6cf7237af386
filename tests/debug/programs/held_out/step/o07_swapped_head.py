"""Set classification with a tiny transformer: first whether a token occurs, then with a new head how often."""
# case: O07
# codes: step.parameter-not-optimised
# split: held-out

import argparse

import torch
from torch import nn

SEED = 0
parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=80)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--dim", type=int, default=32)
args = parser.parse_args()
torch.manual_seed(SEED)

VOCAB, LENGTH = 6, 10


def draw(n, question):
    tokens = torch.randint(VOCAB, (n, LENGTH))
    if question == "any":
        return tokens, (tokens == 3).any(1).long()
    return tokens, (tokens == 3).sum(1).clamp(max=3)


class Encoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.token = nn.Embedding(VOCAB, dim)
        self.place = nn.Parameter(0.02 * torch.randn(LENGTH, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 1, norm=nn.LayerNorm(dim), enable_nested_tensor=False)

    def forward(self, tokens):
        return self.body(self.token(tokens) + self.place).mean(1)


def train(model, optimizer, question):
    criterion = nn.CrossEntropyLoss()
    fixed = draw(512, question)
    for step in range(args.steps):
        tokens, answer = draw(64, question)
        loss = criterion(model(tokens), answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 20 == 0:
            with torch.no_grad():
                hits = (model(fixed[0]).argmax(1) == fixed[1]).float().mean()
            print(f"{question}: step {step + 1} loss {loss.item():.4f} accuracy {hits:.3f}")


model = nn.Sequential(Encoder(args.dim), nn.Linear(args.dim, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)  #@
train(model, optimizer, "any")

model[1] = nn.Linear(args.dim, 4)  #@
nn.init.normal_(model[1].weight, std=0.02)
args.steps = 160
#+ optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
train(model, optimizer, "count")  #@
