"""Tabular classifier with early stopping: the weights of the best validation epoch are put back at the end."""
# case: O19
# codes: step.checkpoint-aliased
# split: held-out

from dataclasses import dataclass, field

import torch
from sklearn.datasets import make_classification
from torch import Tensor, nn

SEED = 0


@dataclass
class EarlyStopping:
    patience: int
    best: float = float("inf")
    bad: int = 0
    weights: dict = field(default_factory=dict)
    epoch: int = -1

    def update(self, model: nn.Module, value: float, epoch: int) -> bool:
        if value < self.best:
            self.best, self.bad, self.epoch = value, 0, epoch
            self.weights = {name: value for name, value in model.state_dict().items()}  #! self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            self.bad += 1
        return self.bad >= self.patience

    def restore(self, model: nn.Module) -> None:
        model.load_state_dict(self.weights)  #@


def table() -> tuple[Tensor, ...]:
    x, y = make_classification(
        900, n_features=24, n_informative=8, n_redundant=4, n_clusters_per_class=1, n_classes=3, flip_y=0.08, class_sep=1.6, random_state=SEED
    )
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    train, valid, test = x[:500], x[500:700], x[700:]
    mean, std = train.mean(0), train.std(0)
    return (train - mean) / std, y[:500], (valid - mean) / std, y[500:700], (test - mean) / std, y[700:]


def loss_on(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        return nn.functional.cross_entropy(model(x), y).item()


torch.manual_seed(SEED)
x, y, x_val, y_val, x_test, y_test = table()
model = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 3))
optimizer = torch.optim.Adamax(model.parameters(), lr=5e-3)
stopper = EarlyStopping(patience=12)
for epoch in range(60):
    model.train()
    for idx in torch.randperm(len(x)).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[idx]), y[idx]).backward()
        optimizer.step()
    val = loss_on(model, x_val, y_val)
    if epoch % 4 == 0:
        print(f"epoch {epoch:2d}  train {loss_on(model, x, y):.3f}  valid {val:.3f}")
    if stopper.update(model, val, epoch):
        print(f"stopped after epoch {epoch}, best was {stopper.epoch}")
        break
stopper.restore(model)
print(f"best valid {stopper.best:.3f}; restored: valid {loss_on(model, x_val, y_val):.3f} test {loss_on(model, x_test, y_test):.3f}")
