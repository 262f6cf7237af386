"""Gradient accumulation on a synthetic multi-label tagging problem."""
# case: O14
# codes: step.accumulation-unscaled, step.learning-rate-too-high
# split: rules

from itertools import islice

import torch
from sklearn.metrics import f1_score
from torch import nn

SEED = 0
ACCUMULATION = 8
MICRO_BATCH = 16


def prepare():
    inputs = torch.randn(4000, 20)
    scores = inputs @ torch.randn(20, 6) + 2.0 * (inputs[:, :6] * inputs[:, 6:12]) - 1.5
    tags = (scores + 0.5 * torch.randn(4000, 6) > 0).float()
    return (inputs[:3200], tags[:3200]), (inputs[3200:], tags[3200:])


def micro_batches(data, generator):
    inputs, tags = data
    while True:
        for rows in torch.randperm(len(inputs), generator=generator).split(MICRO_BATCH):
            yield inputs[rows], tags[rows]


def make_model():
    return nn.Sequential(
        nn.Linear(20, 96), nn.ReLU(),
        nn.Linear(96, 6),
    )


def validate(model, data):
    model.eval()
    with torch.no_grad():
        logits = model(data[0])
    model.train()
    loss = nn.functional.binary_cross_entropy_with_logits(logits, data[1]).item()
    return loss, f1_score(data[1].numpy(), (logits > 0).numpy(), average="micro")


def main():
    torch.manual_seed(SEED)
    train_data, val_data = prepare()
    model = make_model()
    criterion = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4, momentum=0.9)
    stream = micro_batches(train_data, torch.Generator().manual_seed(SEED))

    for step in range(120):
        optimizer.zero_grad()
        step_loss = 0.0
        for inputs, tags in islice(stream, ACCUMULATION):
            loss = criterion(model(inputs), tags)  #! loss = criterion(model(inputs), tags) / ACCUMULATION
            loss.backward()  #@
            step_loss += loss.item()
        optimizer.step()  #@
        if step % 15 == 0 or step == 119:
            val_loss, f1 = validate(model, val_data)
            print(f"step {step:3d} loss {step_loss:7.4f}  val loss {val_loss:.4f}  micro-F1 {f1:.3f}")


main()
