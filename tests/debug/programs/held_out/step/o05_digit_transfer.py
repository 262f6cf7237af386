"""Train a small residual net on the digits 0-4, then adapt its last layer to the digits 5-9."""
# case: O05
# codes: step.frozen-parameter-optimised, step.parameter-not-optimised
# split: held-out

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, relu

SEED = 0


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv_a = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn_a = nn.BatchNorm2d(width)
        self.conv_b = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn_b = nn.BatchNorm2d(width)

    def forward(self, x):
        return relu(x + self.bn_b(self.conv_b(relu(self.bn_a(self.conv_a(x))))))


class Net(nn.Module):
    def __init__(self, classes, width=16):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.bn_stem = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(Residual(width), Residual(width))
        self.classifier = nn.Linear(width * 4, classes)

    def forward(self, x):
        h = self.blocks(relu(self.bn_stem(self.stem(x))))
        return self.classifier(nn.functional.adaptive_avg_pool2d(h, 2).flatten(1))


def fit(net, opt, x, y, epochs, tag):
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(x))
        total = 0.0
        for idx in order.split(32):
            loss = cross_entropy(net(x[idx]), y[idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() * len(idx)
        print(f"[{tag}] epoch {epoch} loss {total / len(x):.4f}")


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


torch.manual_seed(SEED)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16 - 0.3
labels = torch.tensor(digits.target)
low, high = labels < 5, labels >= 5

net = Net(5)
fit(net, torch.optim.Adam(net.parameters(), lr=2e-3), images[low], labels[low], 3, "source")

x, y = images[high], labels[high] - 5
order = torch.randperm(len(x))
x, y, x_val, y_val = x[order[:600]], y[order[:600]], x[order[600:]], y[order[600:]]
torch.nn.init.normal_(net.classifier.weight, std=0.01)
for name, p in net.named_parameters():
    p.requires_grad = "bn" in name  #! p.requires_grad = "bn" in name or name.startswith("classifier")
head = torch.optim.Adam(net.classifier.parameters(), lr=1e-2)  #! head = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
fit(net, head, x, y, 6, "target")
print(f"accuracy on 5-9: {accuracy(net, x_val, y_val):.3f}")
