"""Mixture of experts for tabular regression: a gate decides how much each small expert contributes."""
# case: S04
# codes: shape.softmax-axis, shape.samples-mixed
# split: held-out
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)

n_features, n_regimes = 8, 4
regime_centre = 2.5 * torch.randn(n_regimes, n_features)
regime_slope = torch.randn(n_regimes, n_features)


def draw(n):
    regime = torch.randint(0, n_regimes, (n,))
    x = regime_centre[regime] + torch.randn(n, n_features)
    y = ((x - regime_centre[regime]) * regime_slope[regime]).sum(1) + 0.1 * torch.randn(n)
    return x, y


class Expert(nn.Module):
    def __init__(self, d_in, d_hidden):
        super().__init__()
        self.w1 = nn.Linear(d_in, d_hidden)
        self.w2 = nn.Linear(d_hidden, 1)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)))


class MixtureOfExperts(nn.Module):
    def __init__(self, d_in, n_experts=6, d_hidden=12):
        super().__init__()
        self.gate = nn.Linear(d_in, n_experts)
        self.experts = nn.ModuleList([Expert(d_in, d_hidden) for _ in range(n_experts)])

    def route(self, x):
        return self.gate(x).softmax(dim=0)  #! return self.gate(x).softmax(dim=1)

    def forward(self, x):
        answers = torch.cat([expert(x) for expert in self.experts], dim=1)
        return torch.einsum("be,be->b", self.route(x), answers)


x_train, y_train = draw(3000)
x_test, y_test = draw(600)
mu, sd = x_train.mean(0), x_train.std(0)
x_train, x_test = (x_train - mu) / sd, (x_test - mu) / sd
y_scale = y_train.std()
y_train, y_test = y_train / y_scale, y_test / y_scale

moe = MixtureOfExperts(n_features)
optimizer = torch.optim.Adam(moe.parameters(), lr=1e-2)
batch_size = 100
for epoch in range(20):
    moe.train()
    perm = torch.randperm(len(x_train))
    epoch_loss = 0.0
    for i in range(0, len(x_train), batch_size):
        idx = perm[i : i + batch_size]
        loss = F.mse_loss(moe(x_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(idx) / len(x_train)
    moe.eval()
    with torch.no_grad():
        predictions = torch.cat([moe(part) for part in x_test.split(batch_size)])
        r2 = 1 - F.mse_loss(predictions, y_test) / y_test.var()
    print(f"epoch {epoch + 1:2d} train mse {epoch_loss:.4f} test r2 {r2:.3f}")
