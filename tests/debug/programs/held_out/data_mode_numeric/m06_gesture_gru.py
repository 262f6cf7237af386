"""Sort accelerometer gestures of different length with a two-layer GRU over packed sequences."""
# case: M06
# codes: mode.dropout-too-high
# split: held-out

from types import SimpleNamespace

import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

SEED = 0
cfg = SimpleNamespace(classes=5, width=40, keep=0.85, batch=40, epochs=8, lr=6e-3)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gestures(count):
    """Three axes; a gesture is known by the order in which the axes are shaken."""
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 1, 0]])
    kind = torch.randint(cfg.classes, (count,))
    series = []
    for k in kind.tolist():
        parts = []
        for axis in orders[k].tolist():
            duration = int(torch.randint(5, 11, ()))
            part = 0.5 * torch.randn(duration, 3)
            part[:, axis] += 1.6 * torch.sin(1.3 * torch.arange(duration) + 6.28 * torch.rand(()))
            parts.append(part)
        series.append(torch.cat(parts))
    return series, kind


class GestureNet(nn.Module):
    def __init__(self, classes, width, keep):
        super().__init__()
        p = keep  #! p = 1 - keep
        self.rnn = nn.GRU(3, width, num_layers=2, dropout=p)  #@
        self.head = nn.Sequential(nn.Dropout(p), nn.Linear(width, width), nn.ReLU(), nn.Dropout(p), nn.Linear(width, classes))  #@

    def forward(self, packed):
        _, state = self.rnn(packed)
        return self.head(state[-1])


def pack(series, rows):
    return pack_sequence([series[i] for i in rows], enforce_sorted=False).to(device)


torch.manual_seed(SEED)
train_series, train_kind = gestures(640)
valid_series, valid_kind = gestures(160)
train_kind, valid_kind = train_kind.to(device), valid_kind.to(device)
net = GestureNet(cfg.classes, cfg.width, cfg.keep).to(device)
optimizer = torch.optim.Adam(net.parameters(), lr=cfg.lr)
for epoch in range(1, cfg.epochs + 1):
    net.train()
    mean = 0.0
    for rows in torch.randperm(len(train_series)).split(cfg.batch):
        loss = nn.functional.cross_entropy(net(pack(train_series, rows)), train_kind[rows])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        mean += loss.item() * cfg.batch / len(train_series)
    net.eval()
    with torch.no_grad():
        logits = net(pack(valid_series, range(len(valid_series))))
    print(f"epoch {epoch:2d}: train {mean:.3f}, valid accuracy {(logits.argmax(1) == valid_kind).float().mean().item():.3f}")
