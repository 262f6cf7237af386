"""Compress digits to 24 bits: rounding in the middle, with a gradient of its own (straight through)."""
# case: healthy
# codes: none
# split: fresh
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class BitCoder(nn.Module):
    def __init__(self, bits=24):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, bits), nn.Tanh())
        self.decode = nn.Sequential(nn.Linear(bits, 96), nn.ReLU(), nn.Linear(96, 64))

    def forward(self, x):
        code = Sign.apply(self.encode(x))
        return self.decode(code), code


torch.manual_seed(SEED)
data = load_digits()
x = torch.tensor(data.data, dtype=torch.float32)[torch.randperm(1797)] / 16
train, test = x[:1400], x[1400:]
train, test = train - train.mean(0), test - train.mean(0)
net = BitCoder()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
for epoch in range(1, 41):
    for b in train[torch.randperm(1400)].split(50):
        loss = ((net(b)[0] - b) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 8 == 0:
        with torch.no_grad():
            out, code = net(test)
        print(f"epoch {epoch}: train {loss.item():.4f} test {((out - test) ** 2).mean():.4f} of {test.var():.4f}, distinct codes {len(code.unique(dim=0))}")
