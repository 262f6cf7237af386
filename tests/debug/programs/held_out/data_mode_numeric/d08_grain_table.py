"""Name the cereal variety from measurements of its kernels; rows arrive as dictionaries, as from csv.DictReader."""
# case: D08
# codes: data.class-order
# split: held-out

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import BatchSampler, Dataset, RandomSampler

SEED = 0
VARIETIES = "barley buckwheat millet oat rice rye sorghum spelt wheat".split()
MEASURES = [f"m{i:02d}" for i in range(14)]


def harvest(count, rng):
    centres = np.random.default_rng(SEED + 100).normal(0, 1, (len(VARIETIES), len(MEASURES)))
    for _ in range(count):
        k = int(rng.integers(len(VARIETIES)))
        values = centres[k] + rng.normal(0, 0.7, len(MEASURES))
        yield dict(zip(MEASURES, values)) | {"variety": VARIETIES[k]}


class GrainTable(Dataset):
    def __init__(self, rows):
        rows = list(rows)
        self.x = torch.tensor([[row[m] for m in MEASURES] for row in rows], dtype=torch.float32)
        names = [row["variety"] for row in rows]
        self.classes = list(dict.fromkeys(names))  #! self.classes = sorted(set(names))
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}  #@
        self.y = torch.tensor([self.class_to_idx[name] for name in names])

    def __len__(self):
        return len(self.y)

    def __getitem__(self, rows):
        return self.x[rows], self.y[rows]


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.value, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.value(x) * torch.sigmoid(self.gate(x))


def evaluate(model, table):
    model.eval()
    with torch.no_grad():
        logits = model(table.x)
    loss = nn.functional.cross_entropy(logits, table.y)
    return loss.item(), (logits.argmax(1) == table.y).float().mean().item()


torch.manual_seed(SEED)
rng = np.random.default_rng(SEED)
train, valid = GrainTable(harvest(1600, rng)), GrainTable(harvest(400, rng))
model = nn.Sequential(nn.Linear(14, 40), Gated(40), Gated(40), nn.LayerNorm(40), nn.Linear(40, len(VARIETIES)))
optimizer = torch.optim.NAdam(model.parameters(), lr=3e-3)
for epoch in range(10):
    model.train()
    for rows in BatchSampler(RandomSampler(train), batch_size=40, drop_last=True):
        x, y = train[rows]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "train loss %.3f" % loss.item(), "valid loss %.3f acc %.3f" % evaluate(model, valid))
