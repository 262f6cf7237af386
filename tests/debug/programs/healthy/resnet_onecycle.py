"""Residual network on handwritten digits with a one-cycle schedule."""
# case: healthy
# codes: none
# split: held-out

from types import SimpleNamespace

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits

SEED = 0
cfg = SimpleNamespace(width=16, depth=2, epochs=6, batch=64, max_lr=0.06, weight_decay=1e-3)


class PreActBlock(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(c_in), nn.BatchNorm2d(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if (stride, c_in) != (1, c_out) else nn.Identity()

    def forward(self, x):
        h = F.relu(self.bn1(x))
        return self.conv2(F.relu(self.bn2(self.conv1(h)))) + self.shortcut(h)


def resnet(width, depth, n_classes=10):
    layers = [nn.Conv2d(1, width, 3, 1, 1, bias=False)]
    channels = width
    for stage in range(2):
        for i in range(depth):
            out = width * 2**stage
            layers.append(PreActBlock(channels, out, stride=2 if stage and i == 0 else 1))
            channels = out
    layers += [nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, n_classes)]
    return nn.Sequential(*layers)


def split_digits(generator):
    d = load_digits()
    x, y = torch.tensor(d.images).float().unsqueeze(1), torch.tensor(d.target)
    order = torch.randperm(len(x), generator=generator)
    train, val = order[:1408], order[1408:]
    mu, sd = x[train].mean(), x[train].std()
    x = (x - mu) / sd
    return x[train], y[train], x[val], y[val]


def main():
    torch.manual_seed(SEED)
    x, y, xv, yv = split_digits(torch.Generator().manual_seed(SEED))
    net = resnet(cfg.width, cfg.depth)
    opt = torch.optim.SGD(net.parameters(), lr=cfg.max_lr, momentum=0.9, weight_decay=cfg.weight_decay)
    steps = len(x) // cfg.batch
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=cfg.max_lr, total_steps=cfg.epochs * steps)
    for epoch in range(cfg.epochs):
        net.train()
        for idx in torch.randperm(len(x)).view(steps, cfg.batch):
            loss = F.cross_entropy(net(x[idx]), y[idx])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            sched.step()
        net.eval()
        with torch.inference_mode():
            logits = net(xv)
        print(f"{epoch=} loss={loss.item():.4f} val_loss={F.cross_entropy(logits, yv):.4f} val_acc={(logits.argmax(1) == yv).float().mean():.4f}")


main()
