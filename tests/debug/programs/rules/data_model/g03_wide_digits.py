"""A wide multilayer perceptron on digits with its own weight initialisation."""
# case: G03
# codes: model.init-too-large, loss.starts-far-from-chance
# split: rules

from collections import OrderedDict

import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0
generator = torch.Generator().manual_seed(SEED)
torch.manual_seed(SEED)


def init_weights(module):
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight)  #! nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(module.bias)


def wide_net(width=384):
    return nn.Sequential(
        OrderedDict(
            flat=nn.Flatten(),
            fc1=nn.Linear(64, width),
            act1=nn.ReLU(),
            fc2=nn.Linear(width, width),
            act2=nn.ReLU(),
            fc3=nn.Linear(width, 10),
        )
    )


digits = load_digits()
images = (torch.tensor(digits.images, dtype=torch.float32) - 4.884) / 6.017
train, val = random_split(TensorDataset(images, torch.tensor(digits.target)), [1437, 360], generator=generator)
train_loader = DataLoader(train, batch_size=64, shuffle=True, generator=generator)
val_loader = DataLoader(val, batch_size=360)

net = wide_net()
net.apply(init_weights)  #@
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.3)
criterion = nn.CrossEntropyLoss()

for epoch in range(8):
    net.train()
    for i, (x, y) in enumerate(train_loader):
        loss = criterion(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        if i % 10 == 0:
            print(f"epoch {epoch} batch {i} loss {loss.item():.3f}")
    scheduler.step()
    net.eval()
    with torch.no_grad():
        for x, y in val_loader:
            out = net(x)
            print(f"epoch {epoch} val loss {criterion(out, y).item():.3f} val acc {(out.argmax(1) == y).float().mean().item():.3f}")
