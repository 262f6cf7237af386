"""Same person or not: embeddings of two camera readings, a contrastive loss; every batch comes from one camera."""
# case: G11
# codes: shape.samples-mixed
# split: rules

import torch
from torch import nn

SEED = 0
PEOPLE, INPUTS = 500, 48


class Embedder(nn.Module):
    def __init__(self, width=96, size=24):
        super().__init__()
        self.first = nn.Linear(INPUTS, width)
        self.norm = nn.BatchNorm1d(width)  #! self.norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, size)

    def forward(self, reading):
        return nn.functional.normalize(self.second(torch.relu(self.norm(self.first(reading)))), dim=1)


def contrastive(left, right, same, margin=0.9):
    """Pull equal people together, push others beyond the margin, each pair on its own."""
    distance = (left - right).pow(2).sum(1).add(1e-8).sqrt()
    return torch.where(same, distance**2, (margin - distance).clamp(min=0) ** 2).mean()


class Cameras:
    """Readings of people; each camera has a brightness of its own."""

    def __init__(self, generator, people):
        self.generator, self.people = generator, people

    def batch(self, pairs=64):
        same = torch.rand(pairs, generator=self.generator) < 0.5
        pick = torch.randint(len(self.people), (pairs,), generator=self.generator)
        step = torch.randint(1, len(self.people), (pairs,), generator=self.generator)
        other = torch.where(same, pick, (pick + step) % len(self.people))
        light = 0.8 * torch.randn(1, generator=self.generator)
        return self.read(pick, light), self.read(other, light), same

    def read(self, who, light):
        return self.people[who] + light + 0.5 * torch.randn(len(who), INPUTS, generator=self.generator)


def pair_accuracy(model, batches):
    """Share of pairs on the right side of a fixed distance."""
    model.eval()
    hits = []
    with torch.no_grad():
        for left, right, same in batches:
            distance = (model(left) - model(right)).norm(dim=1)
            hits.append(((distance < 0.55) == same).float().mean())
    return torch.stack(hits).mean().item()


torch.manual_seed(SEED)
generator = torch.Generator().manual_seed(SEED)
everyone = torch.randn(PEOPLE, INPUTS, generator=generator)
train, val = Cameras(generator, everyone[:400]), Cameras(generator, everyone[400:])
val_batches = [val.batch() for _ in range(20)]
model = Embedder()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for step in range(1, 401):
    model.train()
    left, right, same = train.batch()
    embedded = model(torch.cat([left, right]))  #@
    loss = contrastive(embedded[:64], embedded[64:], same)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 80 == 0:
        print(f"step {step} loss {loss.item():.4f} val pair accuracy {pair_accuracy(model, val_batches):.3f}")
