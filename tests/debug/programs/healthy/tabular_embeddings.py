"""Click prediction from categorical and numerical columns with entity embeddings."""
# case: healthy
# codes: none
# split: rules

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
CARDINALITY = {"city": 40, "device": 6, "weekday": 7}


def simulate(n, rng):
    cats = np.stack([rng.integers(0, c, n) for c in CARDINALITY.values()], axis=1)
    nums = np.stack([rng.lognormal(1, 0.8, n), rng.normal(35, 12, n), rng.poisson(3, n)], axis=1)
    return cats, nums


def clicks(cats, nums, effects, rng):
    score = sum(e[cats[:, i]] for i, e in enumerate(effects))
    score = score + 0.9 * np.log(nums[:, 0]) - 0.05 * (nums[:, 1] - 35) * (cats[:, 1] < 3) + 0.3 * (nums[:, 2] - 3) - 0.9
    return (rng.random(len(score)) < 1 / (1 + np.exp(-1.5 * score))).astype(np.float32)


class Clicks(Dataset):
    def __init__(self, cats, nums, y):
        self.cats, self.nums, self.y = torch.tensor(cats), torch.tensor(nums, dtype=torch.float32), torch.tensor(y)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {"cats": self.cats[i], "nums": self.nums[i]}, self.y[i]


class TabularNet(nn.Module):
    def __init__(self, sizes, n_numeric, hidden=64):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(s, min(8, (s + 1) // 2)) for s in sizes)
        width = sum(t.embedding_dim for t in self.tables) + n_numeric
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU())
        self.out = nn.Linear(hidden, 1)

    def forward(self, cats, nums):
        columns = [table(cats[:, i]) for i, table in enumerate(self.tables)]
        return self.out(self.mlp(torch.cat([*columns, nums], dim=1))).flatten()


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
effects = [rng.normal(0, 0.8, c) for c in CARDINALITY.values()]
cats, nums = simulate(10_000, rng)
y = clicks(cats, nums, effects, rng)
nums[:, 0] = np.log(nums[:, 0])
split = 8000
mean, std = nums[:split].mean(0), nums[:split].std(0)
nums = (nums - mean) / std
train = DataLoader(Clicks(cats[:split], nums[:split], y[:split]), batch_size=128, shuffle=True)
valid = DataLoader(Clicks(cats[split:], nums[split:], y[split:]), batch_size=500)
net = TabularNet(CARDINALITY.values(), nums.shape[1])
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)

for epoch in range(4):
    net.train()
    for step, (features, target) in enumerate(train):
        loss = criterion(net(**features), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 30 == 0:
            print(f"epoch {epoch} step {step} loss {loss.item():.4f}")
    net.eval()
    with torch.no_grad():
        scores = torch.cat([net(**features) for features, _ in valid])
    print(f"epoch {epoch} validation AUC {roc_auc_score(y[split:], scores):.3f}")
