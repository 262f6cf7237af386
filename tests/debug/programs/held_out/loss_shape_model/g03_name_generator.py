"""Character model in the style of Bengio et al. (2003): three characters of a made-up name give the next one."""
# case: G03
# codes: model.init-too-large, loss.starts-far-from-chance
# split: held-out
import random

import torch
import torch.nn.functional as F

SEED = 0

# build a list of names from syllables
random.seed(SEED)
starts = ["ka", "mi", "ro", "el", "an", "sa", "jo", "vi", "the", "bra", "lu", "do"]
middles = ["", "ri", "la", "na", "mo", "le", "vi", "sto", "ran", "ki"]
ends = ["n", "a", "el", "us", "ra", "th", "ne", "ko", "lia", "rd"]
words = sorted({random.choice(starts) + random.choice(middles) + random.choice(middles) + random.choice(ends) for _ in range(2500)})
random.shuffle(words)

chars = sorted(set("".join(words)))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
vocab_size = len(stoi)
block_size = 3


def build_dataset(words):
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            ix = stoi[ch]
            X.append(context)
            Y.append(ix)
            context = context[1:] + [ix]
    return torch.tensor(X), torch.tensor(Y)


n1 = int(0.85 * len(words))
Xtr, Ytr = build_dataset(words[:n1])
Xdev, Ydev = build_dataset(words[n1:])

n_embd, n_hidden = 10, 200
g = torch.Generator().manual_seed(SEED)
C = torch.randn((vocab_size, n_embd), generator=g)
W1 = torch.randn((n_embd * block_size, n_hidden), generator=g)  #! W1 = torch.randn((n_embd * block_size, n_hidden), generator=g) * (5 / 3) / (n_embd * block_size) ** 0.5
b1 = torch.randn(n_hidden, generator=g)  #! b1 = torch.randn(n_hidden, generator=g) * 0.01
W2 = torch.randn((n_hidden, vocab_size), generator=g)  #! W2 = torch.randn((n_hidden, vocab_size), generator=g) * 0.01
b2 = torch.zeros(vocab_size)
parameters = [C, W1, b1, W2, b2]
for p in parameters:
    p.requires_grad = True


def logits_of(X):
    emb = C[X]
    h = torch.tanh(emb.view(emb.shape[0], -1) @ W1 + b1)
    return h @ W2 + b2


@torch.no_grad()
def split_loss(X, Y):
    return F.cross_entropy(logits_of(X), Y).item()


max_steps = 2400
for i in range(max_steps):
    ix = torch.randint(0, Xtr.shape[0], (64,), generator=g)
    loss = F.cross_entropy(logits_of(Xtr[ix]), Ytr[ix])
    for p in parameters:
        p.grad = None
    loss.backward()
    lr = 0.1 if i < 1600 else 0.02
    for p in parameters:
        p.data += -lr * p.grad
    if i % 300 == 0:
        print(f"{i:5d}/{max_steps}: {loss.item():.4f}")
print("train", split_loss(Xtr, Ytr), "dev", split_loss(Xdev, Ydev))
