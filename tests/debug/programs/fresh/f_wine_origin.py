"""Origin of wines from their chemistry: shuffle, split, train a small network (scikit-learn wine data)."""
# case: D06
# codes: data.inputs-labels-unpaired
# split: fresh
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.utils import shuffle

SEED = 0
torch.manual_seed(SEED)
wine = load_wine()
X, y = wine.data.astype(np.float32), wine.target
X = shuffle(X, random_state=SEED)  #! X, y = shuffle(X, y, random_state=SEED)
y = shuffle(y, random_state=SEED + 1)  #!

n_train = 130
mu, sd = X[:n_train].mean(0), X[:n_train].std(0)
X = (X - mu) / sd
Xtr, Xte = torch.tensor(X[:n_train]), torch.tensor(X[n_train:])
ytr, yte = torch.tensor(y[:n_train]), torch.tensor(y[n_train:])


class WineNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(13, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 3)
        )

    def forward(self, x):
        return self.net(x)


model = WineNet()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
lossf = torch.nn.CrossEntropyLoss()
for ep in range(60):
    model.train()
    for idx in torch.randperm(n_train).split(26):
        loss = lossf(model(Xtr[idx]), ytr[idx])  #@
        opt.zero_grad()
        loss.backward()
        opt.step()
    if ep % 10 == 9:
        model.eval()
        with torch.no_grad():
            tr, te = (model(Xtr).argmax(1) == ytr).float().mean(), (model(Xte).argmax(1) == yte).float().mean()
            print(f"Epoch {ep + 1}: loss={lossf(model(Xtr), ytr):.3f} train={tr:.3f} test={te:.3f}")
