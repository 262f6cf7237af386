"""Tell three kinds of particle jets apart; a jet is a set of 3 to 60 particles, pooled by a deep-sets network."""
# case: G07
# codes: model.padding-dependence
# split: held-out
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

SEED = 0


def simulate_jets(n, gen):
    size = 3 + torch.empty(n).exponential_(1 / 9, generator=gen).clamp(max=57).long()
    kind = torch.randint(0, 3, (n,), generator=gen)
    spread = torch.tensor([0.5, 1.0, 1.7])
    jets = []
    for k, s in zip(kind.tolist(), size.tolist()):
        angles = spread[k] * torch.randn(s, 2, generator=gen)
        energy = torch.randn(s, 1, generator=gen) - 0.6 * angles.norm(dim=1, keepdim=True)
        jets.append((torch.cat([angles, energy, energy * angles], dim=1), k))
    return jets


class SizeBuckets(Sampler):
    """Batches of jets of similar size, in random order."""

    def __init__(self, jets, batch_size):
        self.sizes, self.batch_size = torch.tensor([len(jet) for jet, _ in jets]), batch_size

    def __len__(self):
        return -(-len(self.sizes) // self.batch_size)

    def __iter__(self):
        buckets = (self.sizes + 2 * torch.rand(len(self.sizes))).argsort().split(self.batch_size)
        for i in torch.randperm(len(buckets)).tolist():
            yield buckets[i].tolist()


def collate(samples):
    jets, kind = zip(*samples)
    padded = pad_sequence(jets, batch_first=True)
    sizes = torch.tensor([len(jet) for jet in jets])
    mask = torch.arange(padded.shape[1]) < sizes[:, None]
    return padded, mask, torch.tensor(kind)


class DeepSets(nn.Module):
    def __init__(self, n_in=5, width=48, kinds=3):
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(n_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.rho = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, kinds))

    def forward(self, particles, mask):
        per_particle = self.phi(particles)
        weight = torch.ones_like(mask).unsqueeze(-1)  #! weight = mask.unsqueeze(-1).float()
        return self.rho((per_particle * weight).sum(1) / weight.sum(1))  #@


torch.manual_seed(SEED)
gen = torch.Generator().manual_seed(SEED)
train_jets, val_jets = simulate_jets(2400, gen), simulate_jets(600, gen)
train_loader = DataLoader(train_jets, batch_sampler=SizeBuckets(train_jets, 16), collate_fn=collate)
val_loader = DataLoader(val_jets, batch_size=100, collate_fn=collate)
model = DeepSets()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(5):
    model.train()
    for i, (particles, mask, kind) in enumerate(train_loader):
        loss = nn.functional.cross_entropy(model(particles, mask), kind)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % 50 == 0:
            print(f"  epoch {epoch} batch {i} loss {loss.item():.4f}")
    model.eval()
    with torch.no_grad():
        correct = sum((model(particles, mask).argmax(1) == kind).sum().item() for particles, mask, kind in val_loader)
    print(f"epoch {epoch} validation accuracy {correct / len(val_jets):.3f}")
