"""How pleasant is a mixture of scents? Ratings depend on pairs of ingredients."""
# case: double
# codes: model.no-nonlinearity
# also: mode.dropout-always-on
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0


class Nose(nn.Module):
    def __init__(self, scents=10, width=96):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(scents, width), nn.Linear(width, width), nn.Linear(width, 1)

    def forward(self, mix):
        h = self.a(mix)  #! h = F.gelu(self.a(mix))
        h = F.dropout(h, 0.1)  #! h = F.dropout(h, 0.1, training=self.training)
        h = self.b(h)  #! h = F.gelu(self.b(h))
        return self.c(h).squeeze(-1)  #@


def mixtures(n):
    m = (torch.rand(n, 10) < 0.4).float()
    s = m * 2 - 1
    return m - 0.4, s[:, 0] * s[:, 1] - 0.7 * s[:, 2] * s[:, 3] + 0.5 * s[:, 4] + 0.1 * torch.randn(n)


torch.manual_seed(SEED)
m, rating = mixtures(2000)
m_t, rating_t = mixtures(500)
net = Nose()
opt = torch.optim.Adam(net.parameters(), lr=3e-3)
for epoch in range(1, 21):
    net.train()
    for i in torch.randperm(2000).split(50):
        loss = F.mse_loss(net(m[i]), rating[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
    if epoch % 4 == 0:
        net.eval()
        with torch.no_grad():
            first, second = net(m_t), net(m_t)  #@
        print(f"epoch {epoch}: loss {loss.item():.4f}, test {F.mse_loss(first, rating_t):.4f} and {F.mse_loss(second, rating_t):.4f} (variance {rating_t.var():.3f})")
