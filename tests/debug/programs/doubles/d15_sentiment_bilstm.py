"""Synthetic reviews: positive and negative words, negations flip the next word; bidirectional LSTM with dropout."""
# case: double
# codes: shape.samples-mixed
# also: mode.training-in-eval
# split: rules

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
VOCAB, LENGTH = 40, 12


def reviews(n):
    tokens = torch.randint(1, VOCAB, (n, LENGTH))
    score = torch.zeros(n)
    for t in range(LENGTH):
        value = (tokens[:, t] < 12).float() - ((tokens[:, t] >= 12) & (tokens[:, t] < 23)).float()
        if t:
            value = torch.where(tokens[:, t - 1] >= 36, -value, value)
        score += value
    keep = score != 0
    return TensorDataset(tokens[keep], (score[keep] > 0).float())


class Reader(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 24)
        self.lstm = nn.LSTM(24, width, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(2 * width, 1)

    def forward(self, tokens):
        _, (h, _) = self.lstm(self.drop(self.embed(tokens)))
        h = h.reshape(len(tokens), -1)  #! h = h.transpose(0, 1).reshape(len(tokens), -1)
        return self.out(self.drop(h)).squeeze(1)  #@


def evaluate(model, loader):
    model.eval()  #@
    with torch.no_grad():
        hits = sum(((model(x) > 0) == (y > 0.5)).sum().item() for x, y in loader)
    #+ model.train()
    return hits / len(loader.dataset)


def main():
    torch.manual_seed(SEED)
    train_set, val_set = reviews(1600), reviews(500)
    train_loader = DataLoader(train_set, batch_size=32, shuffle=True)
    val_loader = DataLoader(val_set, batch_size=100)
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    criterion = nn.BCEWithLogitsLoss()
    step = 0
    model.train()
    for _ in range(6):
        for x, y in train_loader:
            loss = criterion(model(x), y)  #@
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % 40 == 0:
                print(f"step {step}: loss {loss.item():.4f} accuracy {evaluate(model, val_loader):.3f}")


if __name__ == "__main__":
    main()
