"""Sort support tickets into queues; rare queues get a larger weight in the loss."""
# case: L14
# codes: loss.class-weight-order
# split: held-out
from collections import Counter

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

SEED = 0
QUEUES = ["question", "complaint", "outage", "billing"]
SHARE = [0.90, 0.05, 0.03, 0.02]
N_WORDS = 300


def write_tickets(n, rng):
    """Common words plus a few that are more likely in the ticket's queue."""
    preferred = np.random.default_rng(99).permutation(N_WORDS)[: 4 * 25].reshape(4, 25)
    queue = rng.choice(4, n, p=SHARE)
    tickets = []
    for q in queue:
        length = rng.integers(8, 25)
        special = rng.random(length) < 0.22
        words = np.where(special, rng.choice(preferred[q], length), rng.integers(0, N_WORDS, length))
        tickets.append((words, QUEUES[q]))
    return tickets


def collate(tickets):
    words = [torch.as_tensor(w) for w, _ in tickets]
    offsets = torch.tensor([0, *(len(w) for w in words[:-1])]).cumsum(0)
    labels = torch.tensor([QUEUES.index(name) for _, name in tickets])
    return torch.cat(words), offsets, labels


class Triage(nn.Module):
    def __init__(self, n_words, dim, n_queues):
        super().__init__()
        self.bag = nn.EmbeddingBag(n_words, dim, mode="mean")
        self.fc = nn.Linear(dim, n_queues)

    def forward(self, words, offsets):
        return self.fc(self.bag(words, offsets))


def queue_weights(tickets):
    counts = Counter(name for _, name in tickets)
    frequency = torch.tensor([float(counts[name]) for name in sorted(counts)])  #! frequency = torch.tensor([float(counts[name]) for name in QUEUES])
    return frequency.sum() / (len(frequency) * frequency)


rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train, valid = write_tickets(6000, rng), write_tickets(2500, rng)
model = Triage(N_WORDS, 16, len(QUEUES))
criterion = nn.CrossEntropyLoss(weight=queue_weights(train))  #@
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

for epoch in range(5):
    model.train()
    losses = []
    for words, offsets, labels in DataLoader(train, batch_size=100, shuffle=True, collate_fn=collate):
        loss = criterion(model(words, offsets), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        words, offsets, labels = collate(valid)
        guess = model(words, offsets).argmax(1)
    recall = [(guess == q)[labels == q].float().mean().item() for q in range(len(QUEUES))]
    print(f"epoch {epoch} loss {np.mean(losses):.3f} recall", {n: round(r, 2) for n, r in zip(QUEUES, recall)})
