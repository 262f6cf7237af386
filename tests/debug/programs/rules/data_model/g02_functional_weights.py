"""Digits with a network written as plain functions over a list of weights, gradients by autograd.grad."""
# case: G02
# codes: model.symmetric-init
# split: rules

from itertools import pairwise

import torch
from sklearn.datasets import load_digits

SEED = 0
SIZES = [64, 48, 32, 10]


def init_params(sizes):
    params = []
    for fan_in, fan_out in pairwise(sizes):
        weight = torch.full((fan_in, fan_out), 1.0 / fan_in)  #! weight = torch.randn(fan_in, fan_out) * fan_in**-0.5
        params.append((weight.requires_grad_(), torch.zeros(fan_out, requires_grad=True)))
    return params


def predict(params, x):
    for weight, bias in params[:-1]:
        x = torch.tanh(x @ weight + bias)
    weight, bias = params[-1]
    return x @ weight + bias


def nll(params, x, y):
    logits = predict(params, x)
    return (logits.logsumexp(1) - logits.gather(1, y[:, None])[:, 0]).mean()


def accuracy(params, x, y):
    with torch.no_grad():
        return (predict(params, x).argmax(1) == y).float().mean().item()


def momentum_step(params, velocity, grads, lr, beta=0.9):
    flat = [tensor for pair in params for tensor in pair]
    with torch.no_grad():
        for tensor, speed, grad in zip(flat, velocity, grads, strict=True):
            speed.mul_(beta).add_(grad)
            tensor.sub_(lr * speed)


def load():
    digits = load_digits()
    x, y = torch.tensor(digits.data, dtype=torch.float32), torch.tensor(digits.target)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    mean, std = x[train].mean(), x[train].std()
    x = (x - mean) / std
    return x[train], y[train], x[test], y[test]


torch.manual_seed(SEED)
x_train, y_train, x_test, y_test = load()
params = init_params(SIZES)
velocity = [torch.zeros_like(tensor) for pair in params for tensor in pair]
for step in range(1, 251):
    rows = torch.randint(len(x_train), (128,))
    loss = nll(params, x_train[rows], y_train[rows])
    grads = torch.autograd.grad(loss, [tensor for pair in params for tensor in pair])
    momentum_step(params, velocity, grads, lr=0.05)
    if step % 50 == 0:
        print(f"step {step}: nll {loss.item():.4f}, test accuracy {accuracy(params, x_test, y_test):.3f}")
