"""Route short tickets to one of four teams; team sizes are unequal, so classes get inverse-frequency weights."""
# case: double
# codes: loss.class-weight-order
# also: model.padding-dependence
# split: rules

from collections import Counter

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

SEED = 0
TEAMS = ["sales", "billing", "outage", "abuse"]
SHARE = [0.62, 0.22, 0.1, 0.06]
WORDS = 60


def ticket(team):
    length = int(torch.randint(3, 16, ()))
    words = torch.randint(1, WORDS, (length,))
    special = 1 + 6 * team + torch.randint(6, (length,))
    return torch.where(torch.rand(length) < 0.35, special, words)


def tickets(n):
    teams = torch.multinomial(torch.tensor(SHARE), n, replacement=True)
    return [ticket(int(team)) for team in teams], teams


def class_weights(teams):
    count = Counter(TEAMS[int(team)] for team in teams)
    names = sorted(count)  #! names = TEAMS
    weight = torch.tensor([1.0 / count[name] for name in names])
    return weight * len(TEAMS) / weight.sum()


class Router(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Embedding(WORDS, width)
        self.hidden = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.team = nn.Linear(width, len(TEAMS))

    def forward(self, ids):
        #+ real = (ids != 0).float().unsqueeze(-1)
        h = self.hidden(self.embed(ids))
        return self.team(h.mean(1))  #! return self.team((h * real).sum(1) / real.sum(1))


def recall(model, texts, teams):
    with torch.no_grad():
        guess = model(pad_sequence(texts, batch_first=True)).argmax(1)
    return [round((guess[teams == k] == k).float().mean().item(), 2) for k in range(len(TEAMS))]


torch.manual_seed(SEED)
texts, teams = tickets(2000)
val_texts, val_teams = tickets(600)
model = Router()
criterion = nn.CrossEntropyLoss(weight=class_weights(teams))  #@
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
for epoch in range(8):
    losses = []
    for idx in torch.randperm(len(texts)).split(50):
        batch = pad_sequence([texts[i] for i in idx], batch_first=True)
        loss = criterion(model(batch), teams[idx])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}: loss {sum(losses) / len(losses):.4f}  recall by team {recall(model, val_texts, val_teams)}")
