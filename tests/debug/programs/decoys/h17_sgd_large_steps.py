"""Full-speed SGD with momentum on a one-hidden-layer network, then annealed."""
# case: H17
# codes: none
# split: rules

import torch
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)

D, H, C = 20, 128, 5
teacher = torch.randn(D, C)


def sample(n):
    x = torch.randn(n, D)
    return x, (x @ teacher).argmax(1)


def init():
    w1 = torch.randn(D, H) * (2 / D) ** 0.5
    w2 = torch.randn(H, C) * (1 / H) ** 0.5
    return [w1.requires_grad_(), torch.zeros(H, requires_grad=True), w2.requires_grad_(), torch.zeros(C, requires_grad=True)]


def net(params, x):
    w1, b1, w2, b2 = params
    return F.relu(x @ w1 + b1) @ w2 + b2


x_train, y_train = sample(4000)
x_test, y_test = sample(1000)
params = init()
optimizer = torch.optim.SGD(params, lr=0.3, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=600)

step = 0
for epoch in range(12):
    order = torch.randperm(len(x_train))
    for idx in order.split(80):
        loss = F.cross_entropy(net(params, x_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        step += 1
        if step in (1, 2, 4, 6, 8, 10, 15, 20, 30) or step % 100 == 0:
            print(f"step {step:3d} loss {loss.item():.4f}")
    with torch.no_grad():
        accuracy = (net(params, x_test).argmax(1) == y_test).float().mean().item()
    print(f"epoch {epoch}: test accuracy {accuracy:.3f}")
