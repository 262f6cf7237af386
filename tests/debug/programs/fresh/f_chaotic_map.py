"""Learn a map of the plane through 40 of its own steps (plain recurrent rollout), stochastic gradient descent."""
# case: N05
# codes: numeric.exploding-gradient, step.learning-rate-too-high, numeric.non-finite-gradient, numeric.non-finite-loss
# split: fresh
import torch
from torch import nn

SEED = 0


class Rollout(nn.Module):
    def __init__(self, hidden=24, gain=2.6):
        super().__init__()
        self.read = nn.Linear(2, hidden)
        self.turn = nn.Parameter(torch.linalg.qr(torch.randn(hidden, hidden))[0] * gain)  #! self.turn = nn.Parameter(torch.linalg.qr(torch.randn(hidden, hidden))[0] * 0.95)
        self.write = nn.Linear(hidden, 2)

    def forward(self, pushes):
        h = torch.zeros(pushes.shape[1], self.turn.shape[0])
        for u in pushes:
            h = h @ self.turn + self.read(u)  #@
        return self.write(h)


def episodes(n, steps=40):
    pushes = torch.randn(steps, n, 2) * 0.3
    c, s = torch.cos(torch.tensor(0.3)), torch.sin(torch.tensor(0.3))
    spin, p = 0.95 * torch.stack([torch.stack([c, -s]), torch.stack([s, c])]), torch.zeros(n, 2)
    for u in pushes:
        p = p @ spin + u
    return pushes, p


torch.manual_seed(SEED)
pushes, final = episodes(640)
pushes_v, final_v = episodes(200)
model = Rollout()
sgd = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(30):
    for i in torch.randperm(640).split(20):
        loss = nn.functional.mse_loss(model(pushes[:, i]), final[i])
        sgd.zero_grad()
        loss.backward()
        #+ nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        sgd.step()
    if epoch % 5 == 4:
        with torch.no_grad():
            print(f"epoch {epoch + 1}: train {loss.item():.4g}, valid {nn.functional.mse_loss(model(pushes_v), final_v).item():.4g} (variance {final_v.var():.3f})")
