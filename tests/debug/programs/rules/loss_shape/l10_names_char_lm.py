"""Character-level language model of made-up place names with a GRU."""
# case: L10
# codes: loss.padding-counted
# split: rules

import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

SEED = 0
random.seed(SEED)
torch.manual_seed(SEED)

START = ["Ash", "Black", "Cold", "East", "Green", "High", "King", "Long", "North", "Oak", "Stone", "West", "White"]
MIDDLE = ["", "er", "en", "ing", "el", "le", "or", "an"]
END = ["bourne", "bridge", "bury", "cliff", "field", "ford", "gate", "ham", "ley", "mouth", "ton", "wick", "worth"]
LONG = ["on the Water", "under the Great Wood", "by the Northern Sea"]
names = [a + b + c for a in START for b in MIDDLE for c in END]
names = [f"{name} {random.choice(LONG)}" if random.random() < 0.12 else name for name in names]
random.shuffle(names)

PAD, BOS, EOS = 0, 1, 2
letters = sorted(set("".join(names)))
stoi = {ch: i + 3 for i, ch in enumerate(letters)}
VOCAB = len(letters) + 3


def encode(name):
    return torch.tensor([BOS] + [stoi[ch] for ch in name] + [EOS])


def collate(batch):
    ids = pad_sequence([encode(name) for name in batch], batch_first=True, padding_value=PAD)
    return ids[:, :-1], ids[:, 1:]


class CharModel(nn.Module):
    def __init__(self, dim=24, hidden=96):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, dim, padding_idx=PAD)
        self.rnn = nn.GRU(dim, hidden, batch_first=True)
        self.decoder = nn.Linear(hidden, VOCAB)

    def forward(self, ids):
        out, _ = self.rnn(self.embedding(ids))
        return self.decoder(out)


train_loader = DataLoader(names[:1100], batch_size=32, shuffle=True, collate_fn=collate)
valid_loader = DataLoader(names[1100:], batch_size=128, collate_fn=collate)
model = CharModel()
criterion = nn.CrossEntropyLoss()  #! criterion = nn.CrossEntropyLoss(ignore_index=PAD)
optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)


def run(loader, train):
    model.train(train)
    total, correct, real = 0.0, 0, 0
    with torch.set_grad_enabled(train):
        for source, target in loader:
            logits = model(source)
            loss = criterion(logits.transpose(1, 2), target)  #@
            if train:
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            total += loss.item()
            correct += ((logits.argmax(-1) == target) & (target != PAD)).sum().item()
            real += (target != PAD).sum().item()
    return total / len(loader), correct / real


for epoch in range(5):
    (train_loss, _), (valid_loss, valid_acc) = run(train_loader, True), run(valid_loader, False)
    print(f"epoch {epoch}: train {train_loss:.3f} valid {valid_loss:.3f} next-letter accuracy {valid_acc:.3f}")
