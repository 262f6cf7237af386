"""Reading or searching? Eye movements of many short trials, recurrent cell that stores what it has seen."""
# case: G09
# codes: model.state-leak
# split: fresh
import torch
from torch import nn

SEED = 0


class Watcher(nn.Module):
    def __init__(self, hidden=24):
        super().__init__()
        self.cell = nn.GRUCell(2, hidden)
        self.out = nn.Linear(hidden, 2)
        self.state = None

    def forward(self, gaze):
        if self.state is None or len(self.state) != len(gaze):  #! if True:
            self.state = torch.zeros(len(gaze), self.cell.hidden_size)
        h = self.state.detach()  #@
        for t in range(gaze.shape[1]):
            h = self.cell(gaze[:, t], h)
        self.state = h  #@
        return self.out(h)


def trials(n, steps=8):
    """A search trial has one large jump of the eye at some time; a reading trial has none."""
    kind = torch.randint(0, 2, (n,))
    dx, dy = 0.35 * torch.randn(n, steps), 0.35 * torch.randn(n, steps)
    dx[torch.arange(n), torch.randint(0, steps, (n,))] += 1.8 * kind
    return torch.stack([dx, dy], -1), kind


torch.manual_seed(SEED)
gaze, kind = trials(1600)
gaze_t, kind_t = trials(800)
net = Watcher()
opt = torch.optim.Adam(net.parameters(), lr=6e-3)
for epoch in range(10):
    tot = 0.0
    for i in torch.randperm(1600).split(40):
        loss = nn.functional.cross_entropy(net(gaze[i]), kind[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() / 40
    with torch.no_grad():
        once = torch.cat([net(g).argmax(1) for g in gaze_t.split(40)])
        back = torch.cat([net(g.flip(0)).argmax(1).flip(0) for g in gaze_t.split(40)])
    print(f"epoch {epoch}: loss {tot:.3f}, test {(once == kind_t).float().mean():.3f}, same answers in reverse order {(once == back).float().mean():.3f}")
