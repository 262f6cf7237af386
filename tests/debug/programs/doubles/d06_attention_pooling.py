"""Bag classification: does a bag of ten vectors hold a witness instance? Gated attention pooling over instances."""
# case: double
# codes: step.parameter-not-optimised
# also: shape.softmax-axis, shape.samples-mixed
# split: held-out

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
BAG, FEATURES = 10, 12


def bags(n, direction):
    x = torch.randn(n, BAG, FEATURES)
    label = (torch.rand(n) < 0.5).float()
    seat = torch.randint(BAG, (n,))
    hit = label.bool()
    x[hit, seat[hit]] += 4.5 * direction
    decoy = torch.randint(BAG, (n,))
    x[torch.arange(n), decoy] -= 1.5 * direction
    return x, label


class GatedPooling(nn.Module):
    def __init__(self, width, inner=16):
        super().__init__()
        self.v, self.u, self.w = nn.Linear(width, inner), nn.Linear(width, inner), nn.Linear(inner, 1, bias=False)

    def forward(self, h):
        score = self.w(torch.tanh(self.v(h)) * torch.sigmoid(self.u(h)))
        weight = score.softmax(dim=0)  #! weight = score.softmax(dim=1)
        return (weight * h).sum(dim=1)


class BagModel(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.instance = nn.Sequential(nn.Linear(FEATURES, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU())
        self.pool = GatedPooling(width)
        self.verdict = nn.Linear(width, 1)

    def forward(self, x):
        return self.verdict(self.pool(self.instance(x))).squeeze(-1)


def optimizer_for(model, lr):
    fast = list(model.pool.parameters())
    slow = list(model.verdict.parameters())  #! slow = list(model.instance.parameters()) + list(model.verdict.parameters())
    return torch.optim.AdamW([{"params": fast, "lr": 2 * lr}, {"params": slow}], lr=lr, weight_decay=1e-3)  #@


torch.manual_seed(SEED)
direction = F.normalize(torch.randn(FEATURES), dim=0)
x, y = bags(1600, direction)
x_val, y_val = bags(400, direction)
model = BagModel()
optimizer = optimizer_for(model, 3e-3)
for epoch in range(8):
    model.train()
    losses = []
    for idx in torch.randperm(len(x)).split(40):
        loss = F.binary_cross_entropy_with_logits(model(x[idx]), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    model.eval()
    with torch.no_grad():
        accuracy = ((model(x_val) > 0) == y_val.bool()).float().mean()
    print(f"epoch {epoch} loss {torch.stack(losses).mean():.4f} accuracy {accuracy:.3f}")
