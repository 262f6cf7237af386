"""LSTM classifier for sequences of different lengths, packed: does `up` occur more often than `down`?"""
# case: healthy
# codes: none
# split: rules

import random

import torch
import torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

SEED = 0
random.seed(SEED)
torch.manual_seed(SEED)

PAD, UP, DOWN, VOCAB = 0, 1, 2, 12


def make_sentence():
    while True:
        ids = random.choices(range(1, VOCAB), weights=[3, 3] + [1] * 9, k=random.randint(4, 14))
        if ids.count(UP) != ids.count(DOWN):
            return torch.tensor(ids), int(ids.count(UP) > ids.count(DOWN))


def collate(batch):
    tokens, labels = zip(*batch, strict=True)
    lengths = torch.tensor([len(t) for t in tokens])
    return pad_sequence(tokens, batch_first=True, padding_value=PAD), lengths, torch.tensor(labels)


class SentenceClassifier(nn.Module):
    def __init__(self, embed=16, hidden=32):
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, embed, padding_idx=PAD)
        self.lstm = nn.LSTM(embed, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(2 * hidden, 2)

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.fc(self.dropout(torch.cat([h[0], h[1]], dim=1)))


data = [make_sentence() for _ in range(3600)]
train_loader = DataLoader(data[:3000], batch_size=50, shuffle=True, collate_fn=collate)
valid_loader = DataLoader(data[3000:], batch_size=200, collate_fn=collate)
model = SentenceClassifier()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)


def evaluate():
    model.eval()
    right = 0
    with torch.no_grad():
        for tokens, lengths, labels in valid_loader:
            right += (model(tokens, lengths).argmax(1) == labels).sum().item()
    return right / 600


for epoch in range(5):
    model.train()
    for step, (tokens, lengths, labels) in enumerate(train_loader):
        loss = criterion(model(tokens, lengths), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 30 == 0:
            print(f"epoch {epoch} step {step} loss {loss.item():.4f}")
    print(f"epoch {epoch} validation accuracy {evaluate():.3f}")
