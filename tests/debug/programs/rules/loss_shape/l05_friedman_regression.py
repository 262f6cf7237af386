"""Regression on the Friedman benchmark with a residual MLP and a hand-written loss."""
# case: L05
# codes: loss.broadcast
# split: rules

import torch
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class Table(Dataset):
    def __init__(self, features, target):
        self.features = torch.as_tensor(features, dtype=torch.float32)
        self.target = torch.as_tensor(target, dtype=torch.float32)

    def __len__(self):
        return len(self.target)

    def __getitem__(self, i):
        return self.features[i], self.target[i]


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.SiLU(), nn.Linear(2 * d, d))

    def forward(self, x):
        return x + self.net(x)


class Regressor(nn.Module):
    def __init__(self, n_in, d=32, depth=2):
        super().__init__()
        self.stem = nn.Linear(n_in, d)
        self.blocks = nn.Sequential(*[Block(d) for _ in range(depth)])
        self.head = nn.Linear(d, 1)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))  #! return self.head(self.blocks(self.stem(x))).squeeze(-1)


def mean_squared_error(prediction, target):
    return ((prediction - target) ** 2).mean()  #@


torch.manual_seed(SEED)
X, y = make_friedman1(n_samples=1500, n_features=8, noise=0.5, random_state=SEED)
cut = 1200
x_scaler = StandardScaler().fit(X[:cut])
y_scaler = StandardScaler().fit(y[:cut, None])
X = x_scaler.transform(X)
y = y_scaler.transform(y[:, None])[:, 0]
train = DataLoader(Table(X[:cut], y[:cut]), batch_size=48, shuffle=True)

model = Regressor(X.shape[1])
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
for epoch in range(10):
    model.train()
    for features, target in train:
        loss = mean_squared_error(model(features), target)  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        guess = model(torch.as_tensor(X[cut:], dtype=torch.float32)).numpy().ravel()
    print(f"epoch {epoch + 1:2d}  loss {loss.item():.4f}  val R2 {r2_score(y[cut:], guess):.3f}")
