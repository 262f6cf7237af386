"""Small convolutional network on the 8x8 digits, with a trainer class."""
# case: L01
# codes: loss.probabilities-into-cross-entropy
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


class DigitNet(nn.Module):
    def __init__(self, width=24, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(width * 4, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = self.drop(x.flatten(1))
        return F.softmax(self.fc(x), dim=1)  #! return self.fc(x)


class Trainer:
    def __init__(self, model, train_loader, val_loader, lr):
        self.model, self.train_loader, self.val_loader = model, train_loader, val_loader
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def run_epoch(self):
        self.model.train()
        total = 0.0
        for images, labels in self.train_loader:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(images), labels)  #@
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.train_loader)

    @torch.no_grad()
    def validate(self):
        self.model.eval()
        correct = count = 0
        for images, labels in self.val_loader:
            correct += (self.model(images).argmax(1) == labels).sum().item()
            count += len(labels)
        return correct / count

    def fit(self, epochs):
        for epoch in range(1, epochs + 1):
            loss = self.run_epoch()
            print(f"epoch {epoch}: train loss {loss:.4f}  val acc {self.validate():.3f}")


digits = load_digits()
x_train, x_val, y_train, y_val = train_test_split(
    digits.images / 16.0, digits.target, test_size=0.25, stratify=digits.target, random_state=SEED
)


def as_dataset(images, labels):
    x = (torch.tensor(images, dtype=torch.float32).unsqueeze(1) - 0.305) / 0.376
    return TensorDataset(x, torch.tensor(labels))


train_loader = DataLoader(as_dataset(x_train, y_train), batch_size=64, shuffle=True)
val_loader = DataLoader(as_dataset(x_val, y_val), batch_size=256)
Trainer(DigitNet(), train_loader, val_loader, lr=2e-3).fit(epochs=9)
