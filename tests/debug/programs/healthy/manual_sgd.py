"""Two-layer network from bare tensors, with momentum updates written by hand."""
# case: healthy
# codes: none
# split: rules

import math

import torch

SEED = 0
gen = torch.Generator().manual_seed(SEED)

n, d, h, k = 3000, 12, 48, 3
centres = 1.4 * torch.randn(2 * k, d, generator=gen)
which = torch.randint(2 * k, (n,), generator=gen)
X = centres[which] + torch.randn(n, d, generator=gen)
Y = which % k
X_train, Y_train, X_val, Y_val = X[:2400], Y[:2400], X[2400:], Y[2400:]
mu, sigma = X_train.mean(0), X_train.std(0)
X_train, X_val = (X_train - mu) / sigma, (X_val - mu) / sigma

W1 = (torch.randn(d, h, generator=gen) * math.sqrt(2 / d)).requires_grad_()
b1 = torch.zeros(h, requires_grad=True)
W2 = (torch.randn(h, k, generator=gen) * math.sqrt(1 / h)).requires_grad_()
b2 = torch.zeros(k, requires_grad=True)
weights = [W1, b1, W2, b2]
velocity = [torch.zeros_like(w) for w in weights]


def forward(x):
    return torch.relu(x @ W1 + b1) @ W2 + b2


def cross_entropy(logits, y):
    return -torch.log_softmax(logits, dim=1)[torch.arange(len(y)), y].mean()


lr, mu_momentum = 0.05, 0.9
for epoch in range(6):
    order = torch.randperm(len(X_train), generator=gen)
    for i in range(0, len(order), 60):
        rows = order[i : i + 60]
        loss = cross_entropy(forward(X_train[rows]), Y_train[rows])
        loss.backward()
        with torch.no_grad():
            for w, v in zip(weights, velocity, strict=True):
                v.mul_(mu_momentum).add_(w.grad)
                w -= lr * v
                w.grad = None
    with torch.no_grad():
        out = forward(X_val)
        print(f"epoch {epoch}: loss {loss.item():.4f} val loss {cross_entropy(out, Y_val).item():.4f} val acc {(out.argmax(1) == Y_val).float().mean():.3f}")
    lr *= 0.8
