"""fastai with its lean imports (no bars), PyTorch's Adam, and validated only at the end."""

import sys
from functools import partial

import torch
from fastai.basics import Callback, CancelValidException, DataLoaders, Learner, OptimWrapper, accuracy
from task import BATCH, EPOCHS, LEARNING_RATE, TEST_BATCH, datasets, lenet, report
from torch import nn


class NoValidation(Callback):
    def before_validate(self):
        raise CancelValidException


train, test = datasets(sys.argv[1])
torch.manual_seed(0)
loaders = DataLoaders.from_dsets(train, test, bs=BATCH, val_bs=TEST_BATCH, drop_last=False, device="cpu", num_workers=0)
learner = Learner(
    loaders,
    lenet(),
    loss_func=nn.CrossEntropyLoss(),
    opt_func=partial(OptimWrapper, opt=torch.optim.Adam),
    metrics=accuracy,
)
with learner.no_logging():
    learner.fit(EPOCHS, LEARNING_RATE, cbs=NoValidation())
    steps = learner.train_iter
    found = learner.validate()
report(found[1], steps=steps, model=learner.model)
