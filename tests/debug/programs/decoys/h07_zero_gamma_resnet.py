"""A small residual network whose blocks start as the identity (last BatchNorm scale set to zero)."""
# case: H07
# codes: none
# split: rules

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(x + self.bn2(self.conv2(y)))


class SmallResNet(nn.Module):
    def __init__(self, width=16, blocks=3, classes=6):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.fc = nn.Linear(width * 4, classes)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.fc(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


def blobs(n, g):
    """Images with one coloured spot; the class is given by the colour and by which half it lies in."""
    y = torch.randint(6, (n,), generator=g)
    img = 0.35 * torch.randn(n, 3, 16, 16, generator=g)
    rows = torch.randint(2, 11, (n,), generator=g)
    cols = torch.randint(1, 5, (n,), generator=g) + 8 * (y // 3)
    for i in range(n):
        img[i, y[i] % 3, rows[i] : rows[i] + 4, cols[i] : cols[i] + 3] += 1.0
    return img, y


g = torch.Generator().manual_seed(SEED)
train_x, train_y = blobs(1536, g)
val_x, val_y = blobs(512, g)
loader = DataLoader(TensorDataset(train_x, train_y), batch_size=64, shuffle=True, drop_last=True)

model = SmallResNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[4], gamma=0.1)
criterion = nn.CrossEntropyLoss()

for epoch in range(5):
    model.train()
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        if step % 12 == 0:
            print(f"epoch {epoch} step {step:2d} loss {loss.item():.4f}")
    scheduler.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(val_x).argmax(1) == val_y).float().mean().item()
    print(f"epoch {epoch} validation accuracy {accuracy:.3f}")
