"""Image classifier with an auxiliary head that this configuration does not use."""
# case: H15
# codes: none
# split: rules

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


@dataclass
class Options:
    aux_weight: float = 0.0  # 0.3 for the deep variant, as in GoogLeNet
    epochs: int = 8
    batch_size: int = 48
    lr: float = 2e-3


class Net(nn.Module):
    def __init__(self, use_aux):
        super().__init__()
        self.use_aux = use_aux
        self.stage1 = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
        self.stage2 = nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.aux_head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(32 * 4, 10))

    def forward(self, x):
        mid = self.stage1(x)
        out = self.head(self.stage2(mid))
        if self.training and self.use_aux:
            return out, self.aux_head(mid)
        return out, None


opt = Options()
torch.manual_seed(SEED)
raw = load_digits()
images = torch.tensor(raw.images, dtype=torch.float32)[:, None]
train_set, val_set = random_split(TensorDataset((images - 4.9) / 6.0, torch.tensor(raw.target)), [1397, 400])
train_loader = DataLoader(train_set, opt.batch_size, shuffle=True)
val_loader = DataLoader(val_set, 200)

net = Net(use_aux=opt.aux_weight > 0)
ce = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(net.parameters(), lr=opt.lr)

for epoch in range(opt.epochs):
    net.train()
    seen = total = 0.0
    for x, y in train_loader:
        out, aux = net(x)
        loss = ce(out, y)
        if aux is not None:
            loss = loss + opt.aux_weight * ce(aux, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
        seen += len(y)
    net.eval()
    with torch.no_grad():
        right = sum((net(x)[0].argmax(1) == y).sum().item() for x, y in val_loader)
    print(f"epoch {epoch}  loss {total / seen:.4f}  val acc {right / len(val_set):.4f}")
