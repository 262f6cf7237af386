"""Session-based recommendation: a GRU guesses the next item that a visitor clicks."""
# case: L11
# codes: loss.label-shift
# split: held-out
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SEED = 0


class ClickSessions(Dataset):
    """Clicks follow a sparse random walk over the catalogue."""

    def __init__(self, n_sessions, n_items, walk, rng, length=12):
        clicks = np.empty((n_sessions, length + 1), dtype=np.int64)
        clicks[:, 0] = rng.integers(0, n_items, n_sessions)
        for t in range(length):
            favourite = walk[clicks[:, t], rng.choice(3, n_sessions, p=[0.75, 0.15, 0.1])]
            clicks[:, t + 1] = favourite
        self.clicks = torch.from_numpy(clicks)

    def __len__(self):
        return len(self.clicks)

    def __getitem__(self, i):
        session = self.clicks[i]
        return {"clicked": session[:-1], "labels": session[1:]}  #@


class GRURecommender(nn.Module):
    def __init__(self, n_items, dim=48):
        super().__init__()
        self.item = nn.Embedding(n_items, dim)
        self.gru = nn.GRU(dim, dim, batch_first=True)
        self.score = nn.Linear(dim, n_items)

    def forward(self, clicked, labels=None):
        hidden, _ = self.gru(self.item(clicked))
        logits = self.score(hidden)
        if labels is None:
            return logits
        logits, labels = logits[:, :-1], labels[:, 1:]  #!
        return nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


def hit_rate(model, loader, k=1):
    model.eval()
    hits = []
    with torch.no_grad():
        for batch in loader:
            top = model(batch["clicked"])[:, -1].topk(k).indices
            hits.append((top == batch["labels"][:, -1:]).any(1))
    return torch.cat(hits).float().mean().item()


def main(n_items=60, epochs=6):
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    walk = np.stack([rng.permutation(n_items)[:3] for _ in range(n_items)])
    train = DataLoader(ClickSessions(1600, n_items, walk, rng), batch_size=40, shuffle=True)
    valid = DataLoader(ClickSessions(300, n_items, walk, rng), batch_size=100)
    model = GRURecommender(n_items)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=epochs * len(train))
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in train:
            optimizer.zero_grad()
            loss = model(**batch)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total / len(train):.3f}, hit@1 {hit_rate(model, valid):.3f}, hit@5 {hit_rate(model, valid, 5):.3f}")


main()
