"""Soft labels by several annotators; cross-entropy written out by hand, parameters in a plain dictionary."""
# case: N03
# codes: numeric.non-finite-loss, numeric.non-finite-gradient
# split: fresh
import torch

SEED = 0
g = torch.Generator().manual_seed(SEED)
C, D, H = 5, 20, 64
centre = 2.0 * torch.randn(C, D, generator=g)


def annotate(n):
    y = torch.randint(0, C, (n,), generator=g)
    x = centre[y] + torch.randn(n, D, generator=g)
    votes = torch.where(torch.rand(n, 3, generator=g) < 0.9, y[:, None], torch.randint(0, C, (n, 3), generator=g))
    return 4 * x, torch.nn.functional.one_hot(votes, C).float().mean(1), y


theta = {
    "A": (torch.randn(D, H, generator=g) / D**0.5).requires_grad_(),
    "a": torch.zeros(H, requires_grad=True),
    "B": (torch.randn(H, C, generator=g) / H**0.5).requires_grad_(),
    "b": torch.zeros(C, requires_grad=True),
}


def scores(x):
    return torch.relu(x @ theta["A"] + theta["a"]) @ theta["B"] + theta["b"]


def entropy(q, s):
    p = torch.exp(s) / torch.exp(s).sum(1, keepdim=True)  #!
    return -(q * torch.log(p)).sum(1).mean()  #! return -(q * torch.log_softmax(s, 1)).sum(1).mean()


x, q, _ = annotate(1500)
xt, _, yt = annotate(500)
opt = torch.optim.SGD(theta.values(), lr=0.05, momentum=0.9)
for sweep in range(1, 16):
    for i in torch.randperm(1500, generator=g).split(50):
        L = entropy(q[i], scores(x[i]))
        opt.zero_grad()
        L.backward()
        opt.step()
    if sweep % 3 == 0:
        with torch.no_grad():
            print(f"sweep {sweep}: L = {L.item():.3f}, right {(scores(xt).argmax(1) == yt).float().mean():.3f}")
