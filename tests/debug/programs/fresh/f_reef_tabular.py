"""Coral cover from reef surveys, a residual tabular network; predictions of the test reefs are averaged at the end."""
# case: M03
# codes: mode.dropout-always-on
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class ReefNet(nn.Module):
    def __init__(self, inputs=9, width=64, depth=3, rate=0.2):
        super().__init__()
        self.rate = rate
        self.first = nn.Linear(inputs, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.last = nn.Linear(width, 1)

    def forward(self, x):
        h = F.elu(self.first(x))
        for layer in self.hidden:
            h = h + F.dropout(F.elu(layer(h)), self.rate)  #! h = h + F.dropout(F.elu(layer(h)), self.rate, self.training)
        return self.last(h)[:, 0]


def surveys(n):
    x = torch.randn(n, 9)
    cover = torch.sigmoid(x[:, 0] + 0.8 * x[:, 1] * x[:, 2] - 0.5 * x[:, 3] ** 2 + 0.5)
    return x, 4 * cover + 0.05 * torch.randn(n)


x, c = surveys(1600)
xt, ct = surveys(400)
net = ReefNet()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 25)
for epoch in range(25):
    net.train()
    tot = 0.0
    for i in torch.randperm(1600).split(40):
        loss = F.mse_loss(net(x[i]), c[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 40
    sched.step()
    if epoch % 5 == 4:
        net.eval()
        with torch.no_grad():
            mse = F.mse_loss(net(xt), ct).item()  #@
        print(f"epoch {epoch + 1}: train {tot:.4f}, test {mse:.4f}")
net.eval()
with torch.no_grad():
    print("first reefs:", [round(v, 2) for v in net(xt[:5]).tolist()], "again:", [round(v, 2) for v in net(xt[:5]).tolist()])
