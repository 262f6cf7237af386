"""Disease progression from ten measurements: a functional two-layer network and hand-made SGD with momentum."""
# case: O11
# codes: step.oscillating, step.learning-rate-too-high
# split: held-out

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0
LR = 0.05
MOMENTUM = 0.99  #! MOMENTUM = 0.9
HIDDEN = 24


def init(sizes):
    params = []
    for fan_in, fan_out in zip(sizes[:-1], sizes[1:]):
        w = torch.randn(fan_in, fan_out) * fan_in**-0.5
        params += [w.requires_grad_(), torch.zeros(fan_out, requires_grad=True)]
    return params


def network(params, x):
    *hidden, w, b = params
    for weight, bias in zip(hidden[::2], hidden[1::2]):
        x = torch.tanh(x @ weight + bias)
    return (x @ w + b).squeeze(1)


def data():
    table = load_diabetes(scaled=False)
    x_train, x_test, y_train, y_test = train_test_split(table.data, table.target, test_size=0.25, random_state=SEED)
    sx, sy = StandardScaler().fit(x_train), StandardScaler().fit(y_train[:, None])
    pairs = (sx.transform(x_train), sx.transform(x_test), sy.transform(y_train[:, None]), sy.transform(y_test[:, None]))
    x_train, x_test, y_train, y_test = (torch.tensor(p, dtype=torch.float32) for p in pairs)
    return x_train, x_test, y_train.squeeze(1), y_test.squeeze(1)


def mse(params, x, y):
    return (network(params, x) - y).pow(2).mean()


torch.manual_seed(SEED)
x, x_test, y, y_test = data()
params = init([x.shape[1], HIDDEN, 1])
optimizer = torch.optim.SGD(params, lr=LR, momentum=MOMENTUM, weight_decay=1e-2)  #@
history = []
for epoch in range(30):
    for idx in torch.randperm(len(x)).split(64):
        loss = mse(params, x[idx], y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    if epoch % 3 == 2:
        with torch.no_grad():
            print(f"epoch {epoch + 1:2d} train {mse(params, x, y).item():.3f} test {mse(params, x_test, y_test).item():.3f}")
print(f"best mini-batch {min(history):.3f}, last {history[-1]:.3f}")
