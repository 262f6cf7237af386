"""PointNet-style classifier of noisy 3-d shapes; eight small chunks make one optimiser step."""
# case: O14
# codes: step.accumulation-unscaled
# split: held-out

import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
POINTS, CHUNK, CHUNKS = 32, 8, 8
SHAPES = ("sphere", "cube", "ring", "stick")


def cloud(kind: int) -> torch.Tensor:
    p = torch.randn(POINTS, 3)
    if kind == 0:
        p = F.normalize(p, dim=1)
    elif kind == 1:
        p = p / p.abs().amax(1, keepdim=True)
    elif kind == 2:
        p = F.normalize(p * torch.tensor([1.0, 1.0, 0.0]), dim=1)
    else:
        p = torch.rand(POINTS, 1) * 2 - 1
        p = torch.cat([p, torch.zeros(POINTS, 2)], 1)
    turn, _ = torch.linalg.qr(torch.randn(3, 3))
    return p @ turn + 0.1 * torch.randn(POINTS, 3)


def shapes(n: int):
    kinds = torch.randint(len(SHAPES), (n,))
    return torch.stack([cloud(int(k)) for k in kinds]), kinds


class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.local = nn.Sequential(nn.Linear(3, 48), nn.ReLU(), nn.Linear(48, 64), nn.ReLU())
        self.whole = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, len(SHAPES)))

    def forward(self, points):
        return self.whole(self.local(points).amax(1))


def update(net, optimizer, x, y):
    """One step on a batch that is passed through the net chunk by chunk."""
    optimizer.zero_grad()
    total = 0.0
    for part, label in zip(x.split(CHUNK), y.split(CHUNK)):
        loss = F.cross_entropy(net(part), label)
        loss.backward()  #! (loss / CHUNKS).backward()
        total += loss.item()
    optimizer.step()  #@
    return total / CHUNKS


@torch.no_grad()
def check(net, x, y):
    out = net(x)
    return F.cross_entropy(out, y).item(), (out.argmax(1) == y).float().mean().item()


torch.manual_seed(SEED)
x, y = shapes(1500)
x_val, y_val = shapes(300)
net = PointNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.06, momentum=0.9, weight_decay=1e-4)
for step in range(1, 301):
    pick = torch.randperm(len(x))[: CHUNK * CHUNKS]
    loss = update(net, optimizer, x[pick], y[pick])
    if step % 30 == 0:
        val_loss, val_accuracy = check(net, x_val, y_val)
        print(f"step {step}: loss {loss:.4f}  val {val_loss:.4f}  accuracy {val_accuracy:.3f}")
