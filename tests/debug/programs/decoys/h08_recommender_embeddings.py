"""Matrix factorisation of ratings with user and film embeddings."""
# case: H08
# codes: none
# split: held-out

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)

N_USERS, N_FILMS, RANK = 400, 250, 4


class Recommender(nn.Module):
    def __init__(self, n_users, n_films, dim=8):
        super().__init__()
        self.user = nn.Embedding(n_users, dim)
        self.film = nn.Embedding(n_films, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.film_bias = nn.Embedding(n_films, 1)
        self.mean = nn.Parameter(torch.tensor(0.0))
        for table in (self.user, self.film):
            nn.init.normal_(table.weight, std=0.1)
        for table in (self.user_bias, self.film_bias):
            nn.init.zeros_(table.weight)

    def forward(self, u, f):
        dot = (self.user(u) * self.film(f)).sum(-1)
        return self.mean + dot + self.user_bias(u).squeeze(-1) + self.film_bias(f).squeeze(-1)


taste, style = torch.randn(N_USERS, RANK), torch.randn(N_FILMS, RANK)
mood, quality = 0.4 * torch.randn(N_USERS), 0.5 * torch.randn(N_FILMS)
pairs = torch.randperm(N_USERS * N_FILMS)[:24_000]  # distinct (user, film) pairs
users, films = pairs // N_FILMS, pairs % N_FILMS
ratings = 3.5 + mood[users] + quality[films] + 0.45 * (taste[users] * style[films]).sum(-1) + 0.2 * torch.randn(len(pairs))
is_val = torch.arange(len(pairs)) >= 20_000
train = (users[~is_val], films[~is_val], ratings[~is_val])
val = (users[is_val], films[is_val], ratings[is_val])

model = Recommender(N_USERS, N_FILMS)
with torch.no_grad():
    model.mean.fill_(train[2].mean())
opt = torch.optim.Adam(model.parameters(), lr=0.01)


def rmse(split):
    model.eval()
    with torch.no_grad():
        return (model(split[0], split[1]) - split[2]).square().mean().sqrt().item()


print(f"spread of the ratings {val[2].std():.3f}")
for epoch in range(9):
    model.train()
    for idx in torch.randperm(20_000).split(100):
        u, f, r = (column[idx] for column in train)
        loss = (model(u, f) - r).pow(2).mean() + 1e-3 * (model.user(u).pow(2).sum(-1) + model.film(f).pow(2).sum(-1)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 3 == 2:
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, rmse train {rmse(train):.3f}, validation {rmse(val):.3f}")
