"""Bag-of-words topic classifier over generated documents."""
# case: M03
# codes: mode.dropout-always-on
# split: rules

import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

SEED = 0
TOPICS = {
    "sport": "team goal match player season coach win league score ball".split(),
    "food": "oven sugar taste recipe salt butter plate dinner flour spoon".split(),
    "space": "orbit moon rocket star planet launch comet galaxy engine crew".split(),
    "music": "song guitar band chord concert album voice drum melody stage".split(),
}
COMMON = "the a of and to in is it was for on with as at by an be this from that".split()
VOCAB = {w: i for i, w in enumerate(sorted(set(COMMON).union(*TOPICS.values())))}


def document(rng):
    label = rng.randrange(len(TOPICS))
    own = list(TOPICS.values())[label]
    other = [w for words in TOPICS.values() for w in words]
    words = [rng.choice(own) if rng.random() < 0.2 else rng.choice(other + 3 * COMMON) for _ in range(rng.randint(10, 25))]
    return [VOCAB[w] for w in words], label


def collate(documents):
    lengths = torch.tensor([0] + [len(tokens) for tokens, _ in documents[:-1]])
    flat = torch.tensor([t for tokens, _ in documents for t in tokens])
    return flat, lengths.cumsum(0), torch.tensor([label for _, label in documents])


class TopicModel(nn.Module):
    def __init__(self, vocab, dim=32, hidden=48, topics=4, p=0.3):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, topics)
        self.p = p

    def forward(self, tokens, offsets):
        h = F.relu(self.fc1(self.bag(tokens, offsets)))
        h = F.dropout(h, self.p)  #! h = F.dropout(h, self.p, self.training)
        return self.fc2(h)


def main():
    rng = random.Random(SEED)
    torch.manual_seed(SEED)
    train = DataLoader([document(rng) for _ in range(1600)], 40, shuffle=True, collate_fn=collate)
    val = DataLoader([document(rng) for _ in range(500)], 100, collate_fn=collate)
    model = TopicModel(len(VOCAB))
    optimizer = torch.optim.Adamax(model.parameters(), lr=0.01)
    for epoch in range(1, 6):
        model.train()
        total = 0.0
        for tokens, offsets, labels in train:
            loss = F.cross_entropy(model(tokens, offsets), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            outputs = [(model(tokens, offsets), labels) for tokens, offsets, labels in val]
        logits, labels = (torch.cat(part) for part in zip(*outputs))
        print(f"epoch {epoch}  train {total / len(train):.3f}  val {F.cross_entropy(logits, labels).item():.3f}  "
              f"acc {(logits.argmax(1) == labels).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
