"""Ignite: a trainer and a hand-written evaluation engine for a dropout and batch-norm network."""
# case: M02
# codes: mode.evaluating-in-train
# needs: ignite
# split: held-out

import torch
import torch.nn as nn
from ignite.engine import Engine, Events
from ignite.metrics import Accuracy, Loss
from ignite.utils import convert_tensor
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
device = "cuda" if torch.cuda.is_available() else "cpu"


def get_loaders(batch_size):
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    order = torch.randperm(len(x))
    train, val = order[:1400], order[1400:]
    mean, std = x[train].mean(), x[train].std()
    x = (x - mean) / std
    return (
        DataLoader(TensorDataset(x[train], y[train]), batch_size=batch_size, shuffle=True, drop_last=True),
        DataLoader(TensorDataset(x[val], y[val]), batch_size=batch_size),
    )


def build_engines(model, optimizer, criterion):
    def train_step(engine, batch):
        model.train()
        x, y = (convert_tensor(t, device) for t in batch)
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    def eval_step(engine, batch):
        #+ model.eval()
        with torch.no_grad():  #@
            x, y = (convert_tensor(t, device) for t in batch)
            return model(x), y  #@

    trainer, evaluator = Engine(train_step), Engine(eval_step)
    Accuracy().attach(evaluator, "accuracy")
    Loss(criterion).attach(evaluator, "nll")
    return trainer, evaluator


def run():
    torch.manual_seed(SEED)
    train_loader, val_loader = get_loaders(batch_size=40)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Dropout(0.4), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.4), nn.Linear(64, 10)
    ).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    trainer, evaluator = build_engines(model, optimizer, nn.CrossEntropyLoss())

    @trainer.on(Events.ITERATION_COMPLETED(every=25))
    def log_loss(engine):
        print(f"iteration {engine.state.iteration} loss {engine.state.output:.4f}")

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine):
        metrics = evaluator.run(val_loader).metrics  #@
        print(f"epoch {engine.state.epoch} validation accuracy {metrics['accuracy']:.4f} nll {metrics['nll']:.4f}")

    trainer.run(train_loader, max_epochs=8)


run()
