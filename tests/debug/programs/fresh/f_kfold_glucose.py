"""Diabetes progression (scikit-learn), k-fold loop that restores the best epoch of each fold."""
# case: O19
# codes: step.checkpoint-aliased
# split: fresh
import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold
from torch import nn

SEED = 0


def fold(x, y, fit, val, number):
    torch.manual_seed(SEED + number)
    net = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 1), nn.Flatten(0))
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    best, best_weights = float("inf"), None
    for epoch in range(50):
        for i in torch.randperm(len(fit)).split(40):
            rows = fit[i]
            loss = nn.functional.mse_loss(net(x[rows]), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
        with torch.no_grad():
            err = nn.functional.mse_loss(net(x[val]), y[val]).item()
        if err < best:
            best, when = err, epoch
            best_weights = net.state_dict()  #! best_weights = {k: v.clone() for k, v in net.state_dict().items()}
    net.load_state_dict(best_weights)  #@
    with torch.no_grad():
        restored = nn.functional.mse_loss(net(x[val]), y[val]).item()
    print(f"fold {number}: best epoch {when}, validation mse {best:.3f}, model in use {restored:.3f}")
    return restored


X, t = load_diabetes(return_X_y=True)
X = torch.tensor(X / X.std(0), dtype=torch.float32)
t = torch.tensor((t - t.mean()) / t.std(), dtype=torch.float32)
results = []
for k, (fit, val) in enumerate(KFold(4, shuffle=True, random_state=SEED).split(X)):
    results.append(fold(X, t, torch.tensor(fit), torch.tensor(val), k))
print(f"mean {sum(results) / len(results):.3f}")
