"""When in the day did the front pass? Encoder over hourly readings with learnt positions.

Planted: the table of positions is added along the batch instead of along the hours (its length happens to cover both),
so the encoder does not know the order of the hours, and a sample's answer depends on its place in the batch.
"""
# case: unlisted
# codes: shape.batch-first, shape.samples-mixed
# split: fresh
import torch
from torch import nn

SEED = 0
HOURS, BATCH = 24, 24


class FrontEncoder(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        self.reading = nn.Linear(2, d)
        self.place = nn.Parameter(0.3 * torch.randn(HOURS, d))
        self.attn = nn.MultiheadAttention(d, 4, batch_first=True)
        self.norm = nn.LayerNorm(d)
        self.ffn = nn.Sequential(nn.Linear(d, 64), nn.ReLU(), nn.Linear(64, 4))

    def forward(self, x):
        h = self.reading(x)
        h = h + self.place[: len(x), None]  #! h = h + self.place
        h = self.norm(h + self.attn(h, h, h, need_weights=False)[0])
        return self.ffn(h.mean(1))  #@


def days(n):
    hour = torch.randint(2, HOURS - 2, (n,))
    t = torch.arange(HOURS)
    drop = torch.exp(-((t - hour[:, None]) ** 2) / 2.0)
    x = torch.stack([3 * drop, 1.5 * drop.roll(1, 1)], -1) + 0.4 * torch.randn(n, HOURS, 2)
    return x, (hour - 2) // 5


torch.manual_seed(SEED)
x, part = days(960)
xt, part_t = days(240)
net = FrontEncoder()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, 21):
    mean = 0.0
    for i in torch.randperm(960).split(BATCH):
        loss = nn.functional.cross_entropy(net(x[i]), part[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        mean += loss.item() / 40
    if epoch % 4 == 0:
        with torch.no_grad():
            hit = torch.cat([net(b).argmax(1) for b in xt.split(BATCH)]) == part_t
        print(f"epoch {epoch}: loss {mean:.3f} test {hit.float().mean():.3f}")
