"""A reusable trainer class, used to fit a two-dimensional function."""
# case: O21
# codes: step.update-lost
# split: rules

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

SEED = 0


class Trainer:
    """Fits a model; the settings are copied, so one trainer's overrides never reach another."""

    defaults = {"lr": 5e-3, "epochs": 15, "batch_size": 64, "clip": 5.0}

    def __init__(self, model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], **overrides: float) -> None:
        self.settings = copy.deepcopy(self.defaults) | overrides
        self.model = copy.deepcopy(model)  #! self.model = model
        self.loss = loss
        self.optimizer = torch.optim.NAdam(self.model.parameters(), lr=self.settings["lr"])

    def _step(self, x: Tensor, y: Tensor) -> float:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings["clip"])
        self.optimizer.step()
        return loss.item()

    def fit(self, x: Tensor, y: Tensor, after_epoch: Callable[[int, float], None]) -> None:
        for epoch in range(self.settings["epochs"]):
            self.model.train()
            losses = [self._step(x[rows], y[rows]) for rows in torch.randperm(len(x)).split(self.settings["batch_size"])]
            after_epoch(epoch, sum(losses) / len(losses))


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


def target(x: Tensor) -> Tensor:
    return torch.sin(3 * x[:, :1]) * torch.cos(2 * x[:, 1:])


torch.manual_seed(SEED)
x_train, x_val = 2 * torch.rand(1280, 2) - 1, 2 * torch.rand(400, 2) - 1
y_train, y_val = target(x_train), target(x_val)
network = nn.Sequential(nn.Linear(2, 32), Sine(), nn.Linear(32, 32), Sine(), nn.Linear(32, 1))
trainer = Trainer(network, nn.MSELoss(), epochs=12)  #@


def report(epoch: int, train_loss: float) -> None:
    network.eval()
    with torch.no_grad():
        val_loss = trainer.loss(network(x_val), y_val).item()  #@
    print(f"epoch {epoch + 1:2d}: train {train_loss:.5f}, validation {val_loss:.5f}")


trainer.fit(x_train, y_train, report)
