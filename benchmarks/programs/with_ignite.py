"""ignite's supervised trainer and evaluator."""

import sys

import torch
from ignite.engine import create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy
from task import EPOCHS, LEARNING_RATE, lenet, loaders, report
from torch import nn

train, test = loaders(sys.argv[1])
torch.manual_seed(0)
model = lenet()
optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
trainer = create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())
trainer.run(train, max_epochs=EPOCHS)
evaluator = create_supervised_evaluator(model, metrics={"accuracy": Accuracy()})
evaluator.run(test)
report(evaluator.state.metrics["accuracy"], steps=trainer.state.iteration, model=model)
