"""Train a small convolutional network on the scikit-learn digits."""
# case: O01
# codes: step.gradients-not-cleared
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 2 * 2, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


images, labels = load_digits(return_X_y=True)
images = torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8)
labels = torch.tensor(labels)
x_train, x_test, y_train, y_test = train_test_split(
    images, labels, test_size=0.25, stratify=labels, random_state=SEED
)
mean, std = x_train.mean(), x_train.std()
train_loader = DataLoader(TensorDataset((x_train - mean) / std, y_train), batch_size=64, shuffle=True)
test_loader = DataLoader(TensorDataset((x_test - mean) / std, y_test), batch_size=256)

model = Net().to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)


def train(epoch):
    model.train()
    total = 0.0
    for data, target in train_loader:
        data, target = data.to(device), target.to(device)
        #+ optimizer.zero_grad()
        output = model(data)
        loss = F.cross_entropy(output, target)
        loss.backward()  #@
        optimizer.step()  #@
        total += loss.item() * len(data)
    print(f"epoch {epoch}: train loss {total / len(x_train):.4f}", end="  ")


@torch.no_grad()
def test():
    model.eval()
    correct = 0
    for data, target in test_loader:
        correct += (model(data.to(device)).argmax(1) == target.to(device)).sum().item()
    print(f"test accuracy {correct / len(x_test):.4f}")


for epoch in range(1, 9):
    train(epoch)
    test()
