"""Softmax classifier with an explicit L2 penalty, early-2010s style."""
# case: O17
# codes: step.regularisation-dominates
# split: rules

import numpy as np
import torch

SEED = 0
LAMBDA = 0.5  #! LAMBDA = 2e-4
LEARNING_RATE = 0.05


def teacher_data(n, rng, teacher):
    x = rng.standard_normal((n, 16)).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy((x @ teacher).argmax(1))


def init(sizes, generator):
    params = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
        weight = torch.randn(fan_in, fan_out, generator=generator) * (2.0 / fan_in) ** 0.5
        params += [weight.requires_grad_(), torch.zeros(fan_out, requires_grad=True)]
    return params


def forward(params, x):
    *hidden, weight, bias = params
    for w, b in zip(hidden[::2], hidden[1::2]):
        x = torch.relu(x @ w + b)
    return x @ weight + bias


def data_loss(params, x, y):
    return torch.nn.functional.cross_entropy(forward(params, x), y)


def objective(params, x, y):
    penalty = sum(w.square().sum() for w in params[::2])
    return data_loss(params, x, y) + LAMBDA * penalty  #@


rng = np.random.default_rng(SEED)
teacher = rng.standard_normal((16, 4))
x_train, y_train = teacher_data(3000, rng, teacher)
x_val, y_val = teacher_data(500, rng, teacher)
generator = torch.Generator().manual_seed(SEED)
params = init([16, 64, 32, 4], generator)
optimizer = torch.optim.SGD(params, lr=LEARNING_RATE, momentum=0.9)

for epoch in range(10):
    order = torch.randperm(len(x_train), generator=generator)
    for batch in order.split(128):
        optimizer.zero_grad()
        loss = objective(params, x_train[batch], y_train[batch])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (forward(params, x_val).argmax(1) == y_val).float().mean()
        print(f"epoch {epoch}: objective {objective(params, x_train, y_train):.4f}, "
              f"validation {data_loss(params, x_val, y_val):.4f}, accuracy {accuracy:.3f}")
