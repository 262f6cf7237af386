"""Convolutional classifier for 28x28 images of strokes."""
# case: crash
# codes: shape.mismatch
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


class StrokeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=5)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * 5 * 5, 64)  #! self.fc1 = nn.Linear(16 * 4 * 4, 64)
        self.fc2 = nn.Linear(64, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = torch.flatten(x, 1)  #@
        x = F.relu(self.fc1(x))  #@
        return self.fc2(x)


def strokes(n):
    """Bright line along a row, a column or one of the diagonals."""
    label = torch.randint(4, (n,))
    image = 0.3 * torch.randn(n, 1, 28, 28)
    diagonal = torch.arange(28)
    for i, kind in enumerate(label.tolist()):
        k = int(torch.randint(4, 24, (1,)))
        if kind == 0:
            image[i, 0, k] += 1.0
        elif kind == 1:
            image[i, 0, :, k] += 1.0
        else:
            columns = (diagonal + k) % 28 if kind == 2 else (k - diagonal) % 28
            image[i, 0, diagonal, columns] += 1.0
    return TensorDataset(image, label)


train_loader = DataLoader(strokes(1200), batch_size=32, shuffle=True)
val_loader = DataLoader(strokes(300), batch_size=100)
net = StrokeNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)

for epoch in range(4):
    net.train()
    running_loss = 0.0
    for inputs, labels in train_loader:
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    net.eval()
    with torch.no_grad():
        correct = sum((net(inputs).argmax(1) == labels).sum().item() for inputs, labels in val_loader)
    print(f"[{epoch + 1}] loss: {running_loss / len(train_loader):.3f} accuracy: {correct / 300:.3f}")
