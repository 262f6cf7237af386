"""Rare tumours: the small class is enlarged by jittered copies, then a network is fitted and checked on held-out rows."""
# case: D10
# codes: data.split-overlap
# split: fresh
import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 0
rng = np.random.default_rng(SEED)


def cohort(n):
    y = (rng.random(n) < 0.2).astype(np.int64)
    x = rng.normal(size=(n, 24))
    x[:, :3] += 1.25 * y[:, None]
    return x.astype(np.float32), y


def enlarge(x, y, times):
    rare = x[y == 1]
    extra = np.repeat(rare, times, 0)
    return np.concatenate([x, extra]), np.concatenate([y, np.ones(len(extra), np.int64)])


def fit(xtr, ytr, epochs=60):
    torch.manual_seed(SEED)
    net = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 2))
    opt = torch.optim.Adam(net.parameters(), lr=2e-3)
    x, y = torch.tensor(xtr), torch.tensor(ytr)
    for epoch in range(epochs):
        for i in torch.randperm(len(x)).split(64):
            loss = nn.functional.cross_entropy(net(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 20 == 19:
            print(f"  epoch {epoch + 1}, loss {loss.item():.4f}")
    return net


def balanced(net, x, y):
    with torch.no_grad():
        guess = net(torch.tensor(x)).argmax(1).numpy()
    return np.mean([(guess[y == k] == k).mean() for k in (0, 1)])


x, y = cohort(500)
x_new, y_new = cohort(2000)
x, y = enlarge(x, y, 4)  #!
x_train, x_val, y_train, y_val = train_test_split(x, y, test_size=0.3, random_state=SEED)  #@
#+ x_train, y_train = enlarge(x_train, y_train, 4)
model = fit(x_train, y_train)
print(f"validation: balanced accuracy {balanced(model, x_val, y_val):.3f}")  #@
print(f"next year's patients: balanced accuracy {balanced(model, x_new, y_new):.3f}")
