"""Card fraud: a gated tabular network with early stopping on validation accuracy."""
# case: S06
# codes: metric.wrong
# split: fresh
import copy

import torch
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler
from torch import nn

SEED = 0


class GatedTable(nn.Module):
    def __init__(self, columns, width):
        super().__init__()
        self.value, self.gate = nn.Linear(columns, width), nn.Linear(columns, width)
        self.norm, self.last = nn.LayerNorm(width), nn.Linear(width, 1)

    def forward(self, x):
        return self.last(self.norm(self.value(x) * torch.sigmoid(self.gate(x))))


def accuracy(logits, truth):
    guess = logits.argmax(dim=1)  #! guess = (logits[:, 0] > 0).long()
    return (guess == truth.long()).float().mean().item()  #@


def main():
    torch.manual_seed(SEED)
    X, y = make_classification(1600, 18, n_informative=8, n_clusters_per_class=2, class_sep=1.2, random_state=SEED)
    scaler = StandardScaler().fit(X[:1200])
    X = torch.tensor(scaler.transform(X), dtype=torch.float32)
    y = torch.tensor(y, dtype=torch.float32)
    net = GatedTable(18, 48)
    opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-2)
    criterion = nn.BCEWithLogitsLoss()
    best, kept, patience = -1.0, None, 0
    for epoch in range(40):
        total = 0.0
        for rows in torch.randperm(1200).split(60):
            loss = criterion(net(X[rows]).flatten(), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
            total += loss.item() / 20
        with torch.no_grad():
            val = net(X[1200:])
            val_loss, val_acc = criterion(val.flatten(), y[1200:]).item(), accuracy(val, y[1200:])  #@
        print(f"{epoch:02d} loss {total:.3f} val_loss {val_loss:.3f} val_acc {val_acc:.3f}")
        if val_acc > best:
            best, kept, patience = val_acc, copy.deepcopy(net.state_dict()), 0
        else:
            patience += 1
            if patience == 8:
                break
    net.load_state_dict(kept)
    print("best validation accuracy", round(best, 3))


main()
