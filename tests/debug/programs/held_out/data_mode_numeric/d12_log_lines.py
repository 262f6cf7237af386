"""Route log lines to one of six teams; words of a line are dropped at random to make the router robust."""
# case: D12
# codes: data.augmented-validation
# split: held-out

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

SEED = 0
WORDS, LENGTH, TEAMS, UNKNOWN = 200, 14, 6, 0


def log_lines(count):
    team = torch.randint(TEAMS, (count,))
    common = torch.randint(1 + 8 * TEAMS, WORDS, (count, LENGTH))
    telling = 1 + 8 * team[:, None] + torch.randint(8, (count, LENGTH))
    return torch.where(torch.rand(count, LENGTH) < 0.25, telling, common), team


class Lines(Dataset):
    def __init__(self, words, team, drop):
        self.words, self.team, self.drop = words, team, drop

    def __len__(self):
        return len(self.words)

    def __getitem__(self, index):
        line = self.words[index]
        if self.drop:
            line = line.masked_fill(torch.rand(LENGTH) < self.drop, UNKNOWN)
        return line, self.team[index]


class Router(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.embed = nn.Embedding(WORDS, width)
        self.query = nn.Parameter(torch.zeros(width))
        self.key = nn.Linear(width, width)
        self.out = nn.Linear(width, TEAMS)

    def forward(self, line):
        h = self.embed(line)
        weight = (self.key(h) @ self.query).softmax(dim=1)
        return self.out(torch.einsum("bt,btd->bd", weight, h))


torch.manual_seed(SEED)
words, team = log_lines(1500)
lines, mixed = Lines(words, team, drop=0.4), torch.randperm(1500)
train = Subset(lines, mixed[300:])
valid = Subset(lines, mixed[:300])  #! valid = Subset(Lines(words, team, drop=0.0), mixed[:300])
train_loader = DataLoader(train, batch_size=48, shuffle=True)
valid_loader = DataLoader(valid, batch_size=100)  #@

router = Router()
optimizer = torch.optim.AdamW(router.parameters(), lr=1e-2, weight_decay=1e-3)
best = 0.0
for epoch in range(8):
    router.train()
    for line, target in train_loader:
        loss = nn.functional.cross_entropy(router(line), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    router.eval()
    with torch.no_grad():
        right = sum((router(line).argmax(1) == target).sum().item() for line, target in valid_loader)
    best = max(best, right / len(valid))
    print(f"epoch {epoch} loss {loss.item():.3f} valid accuracy {right / len(valid):.3f} (best {best:.3f})")
