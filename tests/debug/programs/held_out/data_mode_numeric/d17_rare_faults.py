"""Tell the three rare fault types of a pump from normal running, from twenty process values."""
# case: D17
# codes: data.imbalance
# split: held-out

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
STATES = 4


def process_values(count, rng):
    state = rng.choice(STATES, count, p=[0.97, 0.01, 0.01, 0.01])
    offset = np.zeros((STATES, 20))
    for fault in (1, 2, 3):
        offset[fault, 5 * fault : 5 * fault + 5] = 1.0
    mixing = np.eye(20) + 0.05 * rng.normal(size=(20, 20))
    return (rng.normal(size=(count, 20)) + offset[state]) @ mixing * 3 + 50, state


class PumpMonitor:
    def __init__(self, x, y):
        torch.manual_seed(SEED)
        self.net = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, STATES))
        self.loss = nn.CrossEntropyLoss()  #! self.loss = nn.CrossEntropyLoss(weight=len(y) / (STATES * torch.bincount(y)))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=2e-3, weight_decay=1e-3)
        self.loader = DataLoader(TensorDataset(x, y), batch_size=128, shuffle=True)

    def fit_epoch(self):
        self.net.train()
        total = 0.0
        for x, y in self.loader:
            loss = self.loss(self.net(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)

    @torch.no_grad()
    def score(self, x, y):
        self.net.eval()
        right = self.net(x).argmax(1) == y
        return right.float().mean().item()  #! return torch.stack([right[y == s].float().mean() for s in range(STATES)]).mean().item()


rng = np.random.default_rng(SEED)
values, state = process_values(12000, rng)
x_train, x_test, y_train, y_test = train_test_split(values, state, test_size=0.3, stratify=state, random_state=SEED)
scaler = StandardScaler().fit(x_train)
x_train, x_test = (torch.tensor(scaler.transform(v), dtype=torch.float32) for v in (x_train, x_test))
y_train, y_test = torch.tensor(y_train), torch.tensor(y_test)

monitor = PumpMonitor(x_train, y_train)
for epoch in range(12):
    loss = monitor.fit_epoch()
    print(f"epoch {epoch:2d} | loss {loss:.3f} | test score {monitor.score(x_test, y_test):.3f}")
