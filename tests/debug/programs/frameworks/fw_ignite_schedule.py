"""Ignite: supervised trainer with a step decay of the learning rate."""
# case: O12
# codes: step.schedule-mistimed
# needs: ignite
# split: held-out

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss, RunningAverage
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


def rings(n):
    """Three classes by distance from the origin, in six dimensions."""
    x = torch.randn(n, 6)
    radius = x.norm(dim=1)
    return TensorDataset(x, torch.bucketize(radius, torch.tensor([2.0, 2.75])))


train_loader = DataLoader(rings(3000), batch_size=50, shuffle=True)
valid_loader = DataLoader(rings(1000), batch_size=250)
net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
loss_fn = nn.CrossEntropyLoss()
sgd = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
scheduler = optim.lr_scheduler.StepLR(sgd, step_size=4, gamma=0.2)  #@

trainer = create_supervised_trainer(net, sgd, loss_fn)
evaluator = create_supervised_evaluator(net, metrics={"acc": Accuracy(), "loss": Loss(loss_fn)})
RunningAverage(output_transform=lambda loss: loss).attach(trainer, "loss")


@trainer.on(Events.ITERATION_COMPLETED)  #! @trainer.on(Events.EPOCH_COMPLETED)
def decay(engine):
    scheduler.step()  #@


@trainer.on(Events.EPOCH_COMPLETED)
def report(engine):
    evaluator.run(valid_loader)
    scores = evaluator.state.metrics
    print(f"epoch {engine.state.epoch}: train {engine.state.metrics['loss']:.4f} valid {scores['loss']:.4f} accuracy {scores['acc']:.3f}")


trainer.run(train_loader, max_epochs=10)
