"""Matrix factorisation of a ratings table: users and films get ten factors each."""
# case: G02
# codes: model.symmetric-init
# split: held-out
import torch
from torch import nn

SEED = 0
N_USERS, N_FILMS, N_FACTORS = 300, 200, 10


def ratings_table(gen, rank=4, share=0.35):
    taste = torch.randn(N_USERS, rank, generator=gen)
    flavour = torch.randn(N_FILMS, rank, generator=gen)
    fame = 0.4 * torch.randn(N_FILMS, generator=gen)
    score = 3.4 + 0.45 * taste @ flavour.T + fame + 0.2 * torch.randn(N_USERS, N_FILMS, generator=gen)
    user, film = (torch.rand(N_USERS, N_FILMS, generator=gen) < share).nonzero(as_tuple=True)
    return user, film, score[user, film].clamp(0.5, 6.5)


class FactorModel(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.register_buffer("mean", mean)
        self.user_factors = nn.Embedding(N_USERS, N_FACTORS)
        self.film_factors = nn.Embedding(N_FILMS, N_FACTORS)
        self.user_bias = nn.Parameter(torch.zeros(N_USERS))
        self.film_bias = nn.Parameter(torch.zeros(N_FILMS))
        self.reset_parameters()

    def reset_parameters(self):
        for table in (self.user_factors, self.film_factors):
            nn.init.constant_(table.weight, 0.1)  #! nn.init.normal_(table.weight, std=0.1)

    def forward(self, user, film):
        match = torch.sum(self.user_factors(user) * self.film_factors(film), dim=1)
        return self.mean + self.user_bias[user] + self.film_bias[film] + match


def rmse(model, user, film, rating):
    with torch.no_grad():
        return (model(user, film) - rating).square().mean().sqrt().item()


gen = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)
user, film, rating = ratings_table(gen)
known = torch.rand(len(user), generator=gen) < 0.85
train = user[known], film[known], rating[known]
test = user[~known], film[~known], rating[~known]
model = FactorModel(train[2].mean())
optimizer = torch.optim.Adam(model.parameters(), lr=0.02, weight_decay=1e-5)
for epoch in range(15):
    for rows in torch.randperm(len(train[0]), generator=gen).split(1024):
        u, f, r = (column[rows] for column in train)
        loss = (model(u, f) - r).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if epoch % 2 == 0:
        print(f"epoch {epoch:2d}  train rmse {rmse(model, *train):.4f}  test rmse {rmse(model, *test):.4f}")
