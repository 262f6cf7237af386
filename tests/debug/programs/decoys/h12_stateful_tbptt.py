"""Character model over long continuous text; the hidden state runs on from chunk to chunk (truncated BPTT)."""
# case: H12
# codes: none
# split: held-out

import random

import torch
from torch import nn

SEED = 0
random.seed(SEED)
torch.manual_seed(SEED)

NOUNS = ["dog", "cat", "bird", "farmer", "baker", "child", "teacher"]
VERBS = ["sees", "follows", "helps", "finds", "calls"]
PLACES = ["house", "garden", "river", "market", "forest"]


def write(n_sentences):
    out = []
    for _ in range(n_sentences):
        a, b = random.sample(NOUNS, 2)
        out.append(f"the {a} {random.choice(VERBS)} the {b} near the {random.choice(PLACES)}. ")
    return "".join(out)


text = write(1500)
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
data = torch.tensor([index[c] for c in text])
cut = int(0.9 * len(data))
train_ids, val_ids = data[:cut], data[cut:]


def columns(ids, batch):
    """Cut one long stream into `batch` parallel streams: (batch, length)."""
    n = (len(ids) - 1) // batch * batch
    return ids[:n].view(batch, -1), ids[1 : n + 1].view(batch, -1)


class CharLSTM(nn.Module):
    def __init__(self, vocab, hidden=96):
        super().__init__()
        self.embed = nn.Embedding(vocab, 24)
        self.lstm = nn.LSTM(24, hidden, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, x, state=None):
        h, state = self.lstm(self.embed(x), state)
        return self.out(h), state


def repackage(state):
    return tuple(s.detach() for s in state)


model = CharLSTM(len(chars))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
loss_fn = nn.CrossEntropyLoss()
bptt = 25

for epoch in range(3):
    model.train()
    xs, ys = columns(train_ids, 32)
    state, losses = None, []
    for t in range(0, xs.size(1), bptt):
        logits, state = model(xs[:, t : t + bptt], state)
        loss = loss_fn(logits.flatten(0, 1), ys[:, t : t + bptt].flatten())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        state = repackage(state)
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        xs, ys = columns(val_ids, 8)
        state, val = None, 0.0
        for t in range(0, xs.size(1), 100):
            logits, state = model(xs[:, t : t + 100], state)
            val += loss_fn(logits.flatten(0, 1), ys[:, t : t + 100].flatten()).item() * logits.shape[1]
    print(f"epoch {epoch}: {len(losses)} chunks, last train loss {losses[-1]:.3f}, val loss {val / xs.size(1):.3f} (uniform {torch.tensor(float(len(chars))).log():.2f})")
