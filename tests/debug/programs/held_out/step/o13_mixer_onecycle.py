"""A small MLP-Mixer on 8x8 digits with a one-cycle learning-rate schedule."""
# case: O13
# codes: step.schedule-mistimed
# split: held-out

import torch
import torch.nn as nn
from sklearn.datasets import load_digits

SEED = 0


def mlp(width, inner):
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class MixerBlock(nn.Module):
    def __init__(self, patches, width):
        super().__init__()
        self.across, self.within = mlp(patches, 2 * patches), mlp(width, 2 * width)

    def forward(self, x):
        x = x + self.across(x.mT).mT
        return x + self.within(x)


class Mixer(nn.Module):
    def __init__(self, patch=2, width=32, depth=3, classes=10):
        super().__init__()
        self.embed = nn.Conv2d(1, width, patch, stride=patch)
        self.blocks = nn.Sequential(*(MixerBlock((8 // patch) ** 2, width) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, image):
        x = self.embed(image).flatten(2).mT
        return self.head(self.norm(self.blocks(x)).mean(1))


class Batches:
    """Shuffled mini-batches over two tensors, a new order every time it is iterated."""

    def __init__(self, x, y, size):
        self.x, self.y, self.size = x, y, size

    def __len__(self):
        return len(self.x) // self.size

    def __iter__(self):
        order = torch.randperm(len(self.x))[: len(self) * self.size].view(-1, self.size)
        return ((self.x[i], self.y[i]) for i in order)


torch.manual_seed(SEED)
x, y = map(torch.tensor, load_digits(return_X_y=True))
x = (x.float().view(-1, 1, 8, 8) - 4.9) / 6.0
shuffle = torch.randperm(len(x))
x, y = x[shuffle], y[shuffle]
train, x_val, y_val = Batches(x[:1400], y[:1400], 50), x[1400:], y[1400:]

EPOCHS = 6
net = Mixer()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.15, div_factor=60, total_steps=EPOCHS * len(train))  #@
for epoch in range(EPOCHS):
    net.train()
    for image, label in train:
        optimizer.zero_grad()
        loss = criterion(net(image), label)
        loss.backward()
        optimizer.step()
        #+ schedule.step()
    schedule.step()  #!
    net.eval()
    with torch.no_grad():
        logits = net(x_val)
    accuracy = (logits.argmax(1) == y_val).float().mean()
    print(f"{epoch}: train {loss.item():.4f} val {criterion(logits, y_val).item():.4f} accuracy {accuracy:.3f}")
