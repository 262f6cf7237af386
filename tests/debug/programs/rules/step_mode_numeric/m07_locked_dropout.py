"""GRU that classifies padded token sequences, with one dropout mask for all time steps."""
# case: M07
# codes: mode.sticky
# split: rules

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

SEED = 0
VOCAB, PAD = 20, 0


class LockedDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            self.p = 0.0  #! return x
        keep = 1.0 - self.p  #@
        mask = torch.empty(x.size(0), 1, x.size(2), device=x.device).bernoulli_(keep)
        return x * mask / keep


class SequenceClassifier(nn.Module):
    def __init__(self, dim=24, hidden=32, p=0.4):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, dim, padding_idx=PAD)
        self.drop = LockedDropout(p)
        self.gru = nn.GRU(dim, hidden, batch_first=True, bidirectional=True)
        self.score = nn.Linear(2 * hidden, 3)

    def forward(self, tokens, lengths):
        x = self.drop(self.embed(tokens))
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        return self.score(torch.cat([last[0], last[1]], dim=1))


def make_sequences(n, generator):
    for _ in range(n):
        length = int(torch.randint(4, 13, (1,), generator=generator))
        tokens = torch.randint(1, VOCAB, (length,), generator=generator)
        noise = torch.rand(1, generator=generator) < 0.1
        label = torch.randint(3, (1,), generator=generator) if noise else (tokens[0] - 1) * 3 // (VOCAB - 1)
        yield tokens, int(label)


def collate(items):
    tokens, labels = zip(*items)
    lengths = torch.tensor([len(t) for t in tokens])
    return pad_sequence(tokens, batch_first=True, padding_value=PAD), lengths, torch.tensor(labels)


def run(model, loader, optimizer=None):
    model.train(optimizer is not None)
    loss_sum = hits = 0.0
    with torch.set_grad_enabled(optimizer is not None):
        for tokens, lengths, labels in loader:
            scores = model(tokens, lengths)
            loss = nn.functional.cross_entropy(scores, labels)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            loss_sum += loss.item() * len(labels)
            hits += (scores.argmax(1) == labels).sum().item()
    return loss_sum / len(loader.dataset), hits / len(loader.dataset)


torch.manual_seed(SEED)
generator = torch.Generator().manual_seed(SEED)
train_loader = DataLoader(list(make_sequences(1000, generator)), 50, shuffle=True, collate_fn=collate)
val_loader = DataLoader(list(make_sequences(400, generator)), 200, collate_fn=collate)
model = SequenceClassifier()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(8):
    train_loss, train_acc = run(model, train_loader, optimizer)
    val_loss, val_acc = run(model, val_loader)
    print(f"{epoch:2d} | train {train_loss:.3f} {train_acc:.3f} | val {val_loss:.3f} {val_acc:.3f}")
