"""The state of a small automaton after it has read a word of 3 to 24 letters, learned by an LSTM."""
# case: G08
# codes: model.padding-dependence
# split: rules

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import DataLoader, Dataset

SEED = 0
LETTERS, STATES, LONGEST = 20, 4, 24


class Words(Dataset):
    """Padded letters, the number of letters, and the state that they lead to."""

    def __init__(self, count, seed):
        moves = np.random.default_rng(42).integers(0, STATES, LETTERS + 1)
        rng = np.random.default_rng(seed)
        self.lengths = rng.integers(3, LONGEST + 1, count)
        self.letters = np.zeros((count, LONGEST), dtype=np.int64)
        self.states = np.zeros(count, dtype=np.int64)
        for row, length in enumerate(self.lengths):
            word = rng.integers(1, LETTERS + 1, length)
            self.letters[row, :length] = word
            self.states[row] = moves[word[-2:]].sum() % STATES

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, row):
        return self.letters[row], self.lengths[row], self.states[row]


class WordClassifier(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS + 1, 24, padding_idx=0)
        self.lstm = nn.LSTM(24, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, STATES)

    def forward(self, letters, lengths):
        out, _ = self.lstm(self.embedding(letters))
        last = out[:, -1]  #! last = out[torch.arange(len(out)), lengths - 1]
        return self.linear(last)  #@


def main():
    torch.manual_seed(SEED)
    train_loader = DataLoader(Words(1500, SEED), batch_size=50, shuffle=True)
    val_loader = DataLoader(Words(400, SEED + 1000), batch_size=200)
    net = WordClassifier()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    criterion = nn.CrossEntropyLoss()
    for epoch in range(7):
        net.train()
        for letters, lengths, states in train_loader:
            loss = criterion(net(letters, lengths), states)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        net.eval()
        hits = {"short": [], "long": []}
        with torch.no_grad():
            for letters, lengths, states in val_loader:
                right = net(letters, lengths).argmax(1) == states
                hits["short"] += right[lengths < 12].tolist()
                hits["long"] += right[lengths >= 12].tolist()
        print(f"epoch {epoch} loss {loss.item():.3f}", {name: round(sum(part) / len(part), 3) for name, part in hits.items()})


main()
