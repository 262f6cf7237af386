"""Fine-tune a pre-trained digits MLP to tell odd from even."""
# case: O07
# codes: step.parameter-not-optimised
# split: rules

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

SEED = 0


@dataclass(frozen=True)
class Recipe:
    hidden: int = 128
    batch: int = 100
    pretrain_epochs: int = 5
    pretrain_lr: float = 0.1
    finetune_epochs: int = 8
    finetune_lr: float = 0.02


class Classifier(nn.Module):
    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, hidden), nn.ReLU())
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.backbone(x))


def run_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, batch: int) -> float:
    model.train()
    total = 0.0
    for index in torch.randperm(len(x)).split(batch):
        loss = F.cross_entropy(model(x[index]), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(index)
    return total / len(x)


@torch.inference_mode()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    return (model(x).argmax(1) == y).float().mean().item()


def main(recipe: Recipe) -> None:
    torch.manual_seed(SEED)
    data, target = load_digits(return_X_y=True)
    data, target = torch.tensor(data / 16.0, dtype=torch.float32), torch.tensor(target)
    x_train, x_val, y_train, y_val = train_test_split(data, target, test_size=0.25, random_state=SEED)
    mean, std = x_train.mean(), x_train.std()
    x_train, x_val = (x_train - mean) / std, (x_val - mean) / std

    model = Classifier(recipe.hidden, classes=10)
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.pretrain_lr, momentum=0.9)
    for _ in range(recipe.pretrain_epochs):
        loss = run_epoch(model, optimizer, x_train, y_train, recipe.batch)
    print(f"ten digits: loss {loss:.3f}, accuracy {accuracy(model, x_val, y_val):.3f}")

    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.finetune_lr, momentum=0.9)  #!
    model.fc = nn.Linear(recipe.hidden, 2)  #@
    #+ optimizer = torch.optim.SGD(model.parameters(), lr=recipe.finetune_lr, momentum=0.9)
    for epoch in range(recipe.finetune_epochs):
        loss = run_epoch(model, optimizer, x_train, y_train % 2, recipe.batch)
        print(f"odd/even epoch {epoch}: loss {loss:.4f}, accuracy {accuracy(model, x_val, y_val % 2):.3f}")


main(Recipe())
