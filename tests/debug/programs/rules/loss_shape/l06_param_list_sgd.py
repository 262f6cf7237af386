"""A classifier written without modules: a list of tensors, a forward function and SGD."""
# case: L06
# codes: loss.reduction-scale, step.learning-rate-too-high
# split: rules

from itertools import pairwise

import torch
import torch.nn.functional as F

SEED = 0
gen = torch.Generator().manual_seed(SEED)

N, D, CLASSES, BATCH = 3072, 20, 5, 256
X = torch.randn(N, D, generator=gen)
W_TRUE = torch.randn(D, CLASSES, generator=gen)
Y = (X @ W_TRUE).argmax(dim=1)
X_TRAIN, Y_TRAIN, X_TEST, Y_TEST = X[:2560], Y[:2560], X[2560:], Y[2560:]


def init(sizes):
    params = []
    for fan_in, fan_out in pairwise(sizes):
        weight = torch.randn(fan_in, fan_out, generator=gen) * (2.0 / fan_in) ** 0.5
        params.append(weight.requires_grad_())
        params.append(torch.zeros(fan_out, requires_grad=True))
    return params


def forward(params, x):
    for i in range(0, len(params) - 2, 2):
        x = F.relu(x @ params[i] + params[i + 1])
    return x @ params[-2] + params[-1]


def batch_loss(params, x, y):
    return F.cross_entropy(forward(params, x), y, reduction="sum")  #! return F.cross_entropy(forward(params, x), y)


@torch.no_grad()
def evaluate(params):
    logits = forward(params, X_TEST)
    return F.cross_entropy(logits, Y_TEST).item(), (logits.argmax(1) == Y_TEST).float().mean().item()


params = init([D, 64, 64, CLASSES])
optimizer = torch.optim.SGD(params, lr=0.1, momentum=0.9)  #@
step = 0
for _ in range(12):
    order = torch.randperm(len(X_TRAIN), generator=gen)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        loss = batch_loss(params, X_TRAIN[rows], Y_TRAIN[rows])  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 20 == 0:
            test_loss, test_acc = evaluate(params)
            print(f"step {step:3d} loss {loss.item():.4f} test loss {test_loss:.4f} test acc {test_acc:.3f}")
