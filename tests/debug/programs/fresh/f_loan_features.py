"""Will the loan be paid back? Columns are put together from the application and from the account.

Planted: one of the columns (days in arrears) is only known after the loan has failed; it tells the label in the history
but is zero for new applications.
"""
# case: unlisted
# codes: none-listed
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
COLUMNS = ["income", "age", "amount", "accounts", "other_loans", "years_employed", "arrears_days"]
USED = COLUMNS  #! USED = COLUMNS[:-1]


def history(rng, n, closed):
    x = rng.normal(size=(n, 6))
    score = 1.6 * x[:, 0] - 1.3 * x[:, 2] - 1.0 * x[:, 4] + 0.8 * x[:, 5] * x[:, 1]
    failed = (rng.logistic(size=n) * 0.4 > score + 0.5).astype(np.float32)
    arrears = failed * rng.exponential(60, n) if closed else np.zeros(n)
    table = dict(zip(COLUMNS, [*x.T, np.log1p(arrears)]))
    return torch.tensor(np.stack([table[c] for c in USED], 1), dtype=torch.float32), torch.tensor(failed)  #@


def main():
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    x, failed = history(rng, 1600, closed=True)
    fit, val = slice(0, 1200), slice(1200, 1600)
    new_x, new_failed = history(rng, 1000, closed=False)
    net = nn.Sequential(nn.Linear(len(USED), 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1), nn.Flatten(0))
    opt = torch.optim.Adam(net.parameters(), lr=3e-3)
    bce = nn.BCEWithLogitsLoss()
    for epoch in range(1, 21):
        for i in torch.randperm(1200).split(60):
            loss = bce(net(x[fit][i]), failed[fit][i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 5 == 0:
            with torch.no_grad():
                v = ((net(x[val]) > 0).float() == failed[val]).float().mean()
                n = ((net(new_x) > 0).float() == new_failed).float().mean()
            print(f"epoch {epoch}: loss {loss.item():.4f}, validation {v:.3f}, new applications a year later {n:.3f}")


main()
