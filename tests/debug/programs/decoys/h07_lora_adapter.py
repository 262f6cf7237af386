"""Adapt a trained text classifier to a new label rule with low-rank adapters; the base weights stay fixed."""
# case: H07
# codes: none
# split: held-out

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)


class LoRALinear(nn.Module):
    def __init__(self, base, rank=4, alpha=8.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.lora_a), self.lora_b)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(20, 96)
        self.mid = nn.Linear(96, 96)
        self.head = nn.Linear(96, 2)

    def forward(self, x):
        return self.head(F.gelu(self.mid(F.gelu(self.up(x)))))


def task(n, w):
    x = torch.randn(n, 20)
    return x, (torch.tanh(x @ w[0]) + torch.tanh(x @ w[1]) > 0).long()


def train(net, x, y, lr, steps, tag):
    trainable = [p for p in net.parameters() if p.requires_grad]
    print(f"{tag}: {sum(p.numel() for p in trainable)} trainable parameters")
    opt = torch.optim.AdamW(trainable, lr=lr, weight_decay=0.0)
    for step in range(steps):
        idx = torch.randint(len(x), (64,))
        loss = F.cross_entropy(net(x[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 75 == 0:
            print(f"{tag} {step:4d} loss {loss.item():.4f}")


@torch.no_grad()
def score(net, x, y):
    return (net.eval()(x).argmax(1) == y).float().mean().item()


w_old = torch.randn(2, 20)
w_new = w_old + 0.5 * torch.randn(2, 20)
net = Net()
train(net, *task(4000, w_old), lr=2e-3, steps=300, tag="pretrain")

x_val, y_val = task(1000, w_new)
print(f"new task before adaptation: accuracy {score(net, x_val, y_val):.3f}")
net.up, net.mid = LoRALinear(net.up), LoRALinear(net.mid)
net.head.requires_grad_(False)
net.train()
train(net, *task(4000, w_new), lr=4e-3, steps=300, tag="adapt")
print(f"new task after adaptation: accuracy {score(net, x_val, y_val):.3f}")
