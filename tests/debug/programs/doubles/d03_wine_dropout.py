"""Three-class wine recognition with functional dropout layers."""
# case: double
# codes: loss.probabilities-into-cross-entropy
# also: mode.dropout-always-on
# split: rules

import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

SEED = 0


class WineNet(nn.Module):
    def __init__(self, inputs=13, hidden=48, classes=3, drop=0.3):
        super().__init__()
        self.drop = drop
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, hidden)
        self.fc3 = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), self.drop)  #! x = F.dropout(F.relu(self.fc1(x)), self.drop, self.training)
        x = F.dropout(F.relu(self.fc2(x)), self.drop)  #! x = F.dropout(F.relu(self.fc2(x)), self.drop, self.training)
        return F.softmax(self.fc3(x), dim=1)  #! return self.fc3(x)


def prepare():
    x, y = load_wine(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=SEED)
    mean, std = x_train.mean(0), x_train.std(0)
    x_train, x_test = (torch.tensor((a - mean) / std, dtype=torch.float32) for a in (x_train, x_test))
    return x_train, torch.tensor(y_train), x_test, torch.tensor(y_test)


if __name__ == "__main__":
    torch.manual_seed(SEED)
    x, y, x_test, y_test = prepare()
    net = WineNet()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3, weight_decay=1e-4)
    for epoch in range(1, 31):
        net.train()
        for idx in torch.randperm(len(x)).split(16):
            optimizer.zero_grad()
            loss = criterion(net(x[idx]), y[idx])  #@
            loss.backward()
            optimizer.step()
        if epoch % 5 == 0:
            net.eval()
            with torch.no_grad():
                out = net(x_test)
                print(f"epoch {epoch}: train {loss.item():.4f} test {criterion(out, y_test).item():.4f} acc {(out.argmax(1) == y_test).float().mean():.3f}")
