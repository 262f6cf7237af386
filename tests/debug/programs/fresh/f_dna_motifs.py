"""Binding sites in DNA: one-hot sequences, convolution over bases, gradients gathered over four micro-batches."""
# case: O02
# codes: step.gradients-cleared-too-soon
# split: fresh
import numpy as np
import torch
from torch import nn

SEED = 0
BASES = "ACGT"


def genome(n, length=60):
    r = np.random.default_rng(SEED + n)
    s = r.integers(0, 4, (n, length))
    y = r.integers(0, 2, n)
    for i in range(n):
        motif = [1, 0, 2, 2, 3, 0, 1] if y[i] else [1, 0, 2, 3, 2, 0, 1]
        k = r.integers(0, length - 7)
        s[i, k : k + 7] = motif
    return torch.tensor(np.eye(4, dtype=np.float32)[s]).transpose(1, 2).contiguous(), torch.tensor(y)


class MotifNet(nn.Module):
    def __init__(self, filters=24):
        super().__init__()
        self.scan = nn.Conv1d(4, filters, 9, padding=4)
        self.out = nn.Linear(filters, 2)

    def forward(self, s):
        return self.out(torch.relu(self.scan(s)).amax(-1))


torch.manual_seed(SEED)
xs, ys = genome(1024)
xt, yt = genome(400)
net = MotifNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.4, momentum=0.9)
micro, accumulate = 16, 4
for epoch in range(20):
    seen = 0.0
    for step, idx in enumerate(torch.randperm(1024).split(micro), 1):
        optimizer.zero_grad()  #!
        loss = nn.functional.cross_entropy(net(xs[idx]), ys[idx]) / accumulate
        loss.backward()
        if step % accumulate == 0:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()  #@
            #+ optimizer.zero_grad()
        seen += loss.item() * accumulate
    if epoch % 4 == 3:
        with torch.no_grad():
            right = (net(xt).argmax(1) == yt).float().mean()
        print(f"epoch {epoch + 1}: loss {seen / 64:.4f}, test {right:.3f}")
