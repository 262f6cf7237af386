"""Stars of short phone reviews: token embeddings, a bidirectional LSTM and its two final states."""
# case: S02
# codes: shape.samples-mixed
# split: fresh
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

SEED = 0
GOOD, BAD, NOT = range(1, 9), range(9, 17), 17
VOCAB = 40


def review():
    length = int(torch.randint(4, 14, ()))
    words = torch.randint(18, VOCAB, (length,))
    mood = 0
    for spot in torch.randperm(length - 1)[: int(torch.randint(1, 4, ()))].tolist():
        good = bool(torch.rand(()) < 0.5)
        words[spot + 1] = int(torch.randint(1, 9, ())) + (0 if good else 8)
        flip = bool(torch.rand(()) < 0.3)
        if flip:
            words[spot] = NOT
    for i, w in enumerate(words.tolist()):
        value = 1 if w in GOOD else -1 if w in BAD else 0
        mood += -value if i and words[i - 1] == NOT else value
    return words, 0 if mood < 0 else 1 if mood == 0 else 2


class Stars(nn.Module):
    def __init__(self, dim=24, hidden=24):
        super().__init__()
        self.words = nn.Embedding(VOCAB, dim, padding_idx=0)
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True, batch_first=True)
        self.hidden = hidden
        self.rate = nn.Sequential(nn.Linear(2 * hidden, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.words(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        h = h.reshape(ids.size(0), 2 * self.hidden)  #! h = torch.cat([h[0], h[1]], dim=1)
        return self.rate(h)  #@


def batches(reviews, size):
    for part in torch.randperm(len(reviews)).split(size):
        chosen = [reviews[i] for i in part]
        yield pad_sequence([w for w, _ in chosen], batch_first=True), torch.tensor([len(w) for w, _ in chosen]), torch.tensor([s for _, s in chosen])


torch.manual_seed(SEED)
train, test = [review() for _ in range(900)], [review() for _ in range(200)]
net = Stars()
opt = torch.optim.Adam(net.parameters(), lr=8e-3)
for epoch in range(9):
    losses = []
    for ids, lengths, stars in batches(train, 30):
        loss = nn.functional.cross_entropy(net(ids, lengths), stars)
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    with torch.no_grad():
        ids, lengths, stars = next(batches(test, 200))
        hit = (net(ids, lengths).argmax(1) == stars).float().mean()
    print(f"{epoch}: {sum(losses) / len(losses):.3f} / test {hit:.3f}")
