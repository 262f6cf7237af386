"""Next price move at every step from the past of the series, attention written by hand."""
# case: G06
# codes: model.future-leak
# split: fresh
import math

import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)
T = 24


class PastAttention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.register_buffer("past", torch.tril(torch.ones(T, T)))

    def forward(self, h):
        s = self.q(h) @ self.k(h).transpose(1, 2) / math.sqrt(h.shape[-1])
        s = s.masked_fill(self.past.T == 0, -1e9)  #! s = s.masked_fill(self.past == 0, -1e9)
        return self.o(torch.softmax(s, -1) @ self.v(h))


class MoveModel(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.inp, self.pos = nn.Linear(1, d), nn.Parameter(0.1 * torch.randn(T, d))
        self.blocks = nn.ModuleList([PastAttention(d) for _ in range(2)])
        self.ffn = nn.ModuleList([nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 64), nn.ReLU(), nn.Linear(64, d)) for _ in range(2)])
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        h = self.inp(x[..., None]) + self.pos
        for attention, ffn in zip(self.blocks, self.ffn):
            h = h + attention(h)
            h = h + ffn(h)
        return self.out(h)[..., 0]


def moves(n):
    x = torch.zeros(n, T + 1)
    e = torch.randn(n, T + 1)
    x[:, 0] = e[:, 0]
    for t in range(1, T + 1):
        x[:, t] = 0.8 * x[:, t - 1] + 0.6 * e[:, t]
    return x[:, :-1], x[:, 1:]


past, future = moves(600)
past_t, future_t = moves(200)
model = MoveModel()
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(1, 26):
    tot = 0.0
    for i in torch.randperm(600).split(30):
        loss = nn.functional.mse_loss(model(past[i]), future[i])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        tot += loss.item() / 20
    if epoch % 5 == 0:
        with torch.no_grad():
            out = model(past_t)
            print(f"epoch {epoch}: train {tot:.4f}, test {nn.functional.mse_loss(out, future_t):.4f}, test at the last step {nn.functional.mse_loss(out[:, -1], future_t[:, -1]):.4f}")
