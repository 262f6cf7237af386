"""Heart beats of four kinds, most of them normal: 1-D convolutions and a weighted cross-entropy."""
# case: L14
# codes: loss.class-weight-order
# split: fresh
from collections import Counter

import numpy as np
import torch
import torch.nn as nn

SEED = 0
KINDS = ["normal", "ventricular", "atrial", "fusion"]
SHARE = [0.86, 0.06, 0.05, 0.03]


def beats(n, rng):
    kind = rng.choice(4, n, p=SHARE)
    t = np.linspace(-1, 1, 48)
    width = np.array([0.06, 0.13, 0.06, 0.10])[kind][:, None]
    height = np.array([1.0, 1.05, 0.95, 1.0])[kind][:, None]
    p_wave = np.array([0.25, 0.1, 0.08, 0.2])[kind][:, None]
    s = height * np.exp(-((t / width) ** 2)) + p_wave * np.exp(-(((t + 0.5) / 0.1) ** 2))
    return (s + rng.normal(0, 0.16, s.shape)).astype(np.float32), kind


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
sig, kind = beats(2400, rng)
sig_t, kind_t = beats(1200, rng)

counts = Counter(KINDS[k] for k in kind)
order = sorted(counts)  #! order = KINDS
weight = torch.tensor([len(kind) / (4 * counts[name]) for name in order], dtype=torch.float32)
print("weights", weight.numpy().round(2))

net = nn.Sequential(
    nn.Unflatten(1, (1, 48)),
    nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
    nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
    nn.Flatten(), nn.Linear(16 * 12, 4),
)
loss_fn = nn.CrossEntropyLoss(weight=weight)  #@
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
x, y = torch.from_numpy(sig), torch.from_numpy(kind)
for epoch in range(12):
    run = []
    for b in torch.randperm(len(x)).split(60):
        loss = loss_fn(net(x[b]), y[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        run.append(loss.item())
    if epoch % 3 == 2:
        with torch.no_grad():
            guess = net(torch.from_numpy(sig_t)).argmax(1).numpy()
        recall = [(guess[kind_t == k] == k).mean() for k in range(4)]
        print(f"epoch {epoch + 1:2d} loss {np.mean(run):.3f}", " ".join(f"{n} {r:.2f}" for n, r in zip(KINDS, recall)), f"| balanced {np.mean(recall):.3f}")
