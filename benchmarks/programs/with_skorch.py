"""skorch, without a validation split."""

import sys

import torch
from skorch import NeuralNetClassifier
from task import BATCH, EPOCHS, LEARNING_RATE, TEST_BATCH, accuracy_of, datasets, lenet, report
from torch import nn

train, test = datasets(sys.argv[1])
torch.manual_seed(0)
net = NeuralNetClassifier(
    lenet,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=LEARNING_RATE,
    batch_size=BATCH,
    max_epochs=EPOCHS,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)
net.fit(train, None)
loader = torch.utils.data.DataLoader(test, batch_size=TEST_BATCH)
steps = sum(len(epoch["batches"]) for epoch in net.history)
report(accuracy_of(net.module_, loader), steps=steps, model=net.module_)
