"""Classify handwritten digits with a small fully connected network that returns log-probabilities."""
# case: H01
# codes: none
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


class DigitNet(nn.Module):
    def __init__(self, hidden=64, classes=10):
        super().__init__()
        self.fc1 = nn.Linear(64, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.log_softmax(self.out(x), dim=1)


digits = load_digits()
x_train, x_test, y_train, y_test = train_test_split(
    digits.data, digits.target, test_size=0.25, stratify=digits.target, random_state=SEED
)
mean, std = x_train.mean(), x_train.std()


def to_dataset(x, y):
    return TensorDataset(torch.tensor((x - mean) / std, dtype=torch.float32), torch.tensor(y))


train_loader = DataLoader(to_dataset(x_train, y_train), batch_size=64, shuffle=True)
test_loader = DataLoader(to_dataset(x_test, y_test), batch_size=256)

model = DigitNet()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(12):
    model.train()
    total = 0.0
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(x)

    model.eval()
    correct = 0
    with torch.no_grad():
        for x, y in test_loader:
            correct += (model(x).argmax(dim=1) == y).sum().item()
    print(f"epoch {epoch}: train loss {total / len(x_train):.4f}, test accuracy {correct / len(x_test):.3f}")
