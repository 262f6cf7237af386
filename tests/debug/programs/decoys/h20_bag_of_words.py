"""Topic classification of short texts from binary bag-of-words vectors."""
# case: H20
# codes: none
# split: held-out

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)

VOCAB, TOPICS, WORDS_PER_TEXT = 800, 5, 30


def topic_model():
    base = torch.rand(VOCAB).pow(3) + 0.02
    boost = torch.ones(TOPICS, VOCAB)
    for t in range(TOPICS):
        boost[t, torch.randperm(VOCAB)[:60]] = 4.0
    weights = base * boost
    return weights / weights.sum(1, keepdim=True)


def documents(n, topics):
    y = torch.randint(TOPICS, (n,))
    words = torch.multinomial(topics[y], WORDS_PER_TEXT, replacement=True)
    return torch.zeros(n, VOCAB).scatter_(1, words, 1.0), y


topics = topic_model()
x_train, y_train = documents(4000, topics)
x_val, y_val = documents(1000, topics)
print(f"share of non-zero entries {x_train.mean():.3f}")

model = nn.Sequential(nn.Linear(VOCAB, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, TOPICS))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
loss_fn = nn.CrossEntropyLoss()
best = 0.0
for epoch in range(6):
    model.train()
    for i, idx in enumerate(torch.randperm(len(x_train)).split(64)):
        logits = model(x_train[idx])
        loss = loss_fn(logits, y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if i % 30 == 0:
            print(f"epoch {epoch} batch {i:2d} loss {loss.item():.3f}")
    model.eval()
    with torch.no_grad():
        acc = (model(x_val).argmax(1) == y_val).float().mean().item()
    best = max(best, acc)
    print(f"epoch {epoch} val accuracy {acc:.3f} (best {best:.3f})")
