"""Compress a wide teacher into a small student (handwritten digits), soft targets at temperature 3."""
# case: L04
# codes: loss.wrong-space-into-kl
# split: fresh
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 0
TEMP = 3.0
torch.manual_seed(SEED)

pixels, digit = load_digits(return_X_y=True)
tr_x, te_x, tr_y, te_y = train_test_split(pixels / 8 - 1, digit, test_size=0.3, random_state=SEED, stratify=digit)
tr_x, te_x = torch.FloatTensor(tr_x), torch.FloatTensor(te_x)
tr_y, te_y = torch.LongTensor(tr_y), torch.LongTensor(te_y)


def mlp(*sizes):
    layers = OrderedDict()
    for k, (a, b) in enumerate(zip(sizes[:-1], sizes[1:])):
        layers[f"fc{k}"] = nn.Linear(a, b)
        layers[f"act{k}"] = nn.ReLU()
    layers.popitem()
    return nn.Sequential(layers)


def fit(net, objective, rounds, lr):
    optim = torch.optim.Adam(net.parameters(), lr=lr)
    for r in range(rounds):
        acc_loss = 0.0
        for ids in torch.randperm(len(tr_x)).split(64):
            optim.zero_grad()
            loss = objective(net, ids)
            loss.backward()
            optim.step()
            acc_loss += loss.item() * len(ids) / len(tr_x)
        if r % 5 == 4:
            with torch.no_grad():
                hit = (net(te_x).argmax(-1) == te_y).float().mean()
            print(f"   round {r + 1:2d}  loss {acc_loss:8.4f}  test acc {hit:.4f}")


def hard(net, ids):
    return F.cross_entropy(net(tr_x[ids]), tr_y[ids])


teacher = mlp(64, 256, 256, 10)
print("teacher")
fit(teacher, hard, 10, 2e-3)
teacher.eval()
for p in teacher.parameters():
    p.requires_grad_(False)


def soft(net, ids):
    s = F.softmax(net(tr_x[ids]) / TEMP, dim=1)  #! s = F.log_softmax(net(tr_x[ids]) / TEMP, dim=1)
    t = F.softmax(teacher(tr_x[ids]) / TEMP, dim=1)
    return F.kl_div(s, t, reduction="batchmean") * TEMP**2  #@


student = mlp(64, 24, 10)
print("student")
fit(student, soft, 25, 4e-3)
with torch.no_grad():
    agree = F.softmax(student(te_x), 1) - F.softmax(teacher(te_x), 1)
print(f"mean |p_student - p_teacher| = {agree.abs().sum(1).mean():.3f}")
