"""Angles of a mechanical arm from a picture of its outline: one small head for each joint."""
# case: double
# codes: step.unregistered-parameter
# also: step.schedule-mistimed
# split: fresh
import torch
from torch import nn
from torch.optim.lr_scheduler import MultiStepLR

SEED = 0
JOINTS = 3


class ArmNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU())
        self.joints = [nn.Sequential(nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1)) for _ in range(JOINTS)]  #! self.joints = nn.ModuleList([nn.Sequential(nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1)) for _ in range(JOINTS)])

    def forward(self, outline):
        h = self.look(outline)
        return torch.cat([joint(h) for joint in self.joints], 1)  #@


def arms(n):
    angle = torch.rand(n, JOINTS) * 2 - 1
    direction = torch.cumsum(angle, 1)
    ends = torch.cumsum(torch.stack([direction.cos(), direction.sin()], 2), 1)
    grid = torch.stack(torch.meshgrid(torch.linspace(0, 3, 8), torch.linspace(-2, 2, 8), indexing="ij"), -1).view(-1, 2)
    dist = (ends[:, :, None] - grid).norm(dim=-1)
    return torch.exp(-((dist / 0.45) ** 2)).sum(1), angle


torch.manual_seed(SEED)
outline, angle = arms(1500)
outline_t, angle_t = arms(300)
net = ArmNet()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)  #@
schedule = MultiStepLR(opt, milestones=[20, 26], gamma=0.1)
for epoch in range(1, 31):
    for i in torch.randperm(1500).split(50):
        loss = nn.functional.mse_loss(net(outline[i]), angle[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        schedule.step()  #!
    #+ schedule.step()
    if epoch % 6 == 0:
        with torch.no_grad():
            err = (net(outline_t) - angle_t).abs().mean()
        print(f"epoch {epoch}: loss {loss.item():.5f}, angles off by {err:.4f} rad (spread {angle_t.std():.3f})")
