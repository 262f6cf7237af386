"""Tell sine, square, triangle and chirp signals apart with a GRU."""
# case: L03
# codes: loss.wrong-space-into-nll
# split: rules

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0
torch.manual_seed(SEED)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def wave(kind, phase, freq, t):
    angle = 2 * math.pi * (freq * t + phase)
    if kind == 0:
        return torch.sin(angle)
    if kind == 1:
        return torch.sign(torch.sin(angle))
    if kind == 2:
        return 2 / math.pi * torch.asin(torch.sin(angle))
    return torch.sin(angle * (0.5 + t))


def generate(n, steps=40):
    t = torch.linspace(0, 1, steps)
    kinds = torch.randint(0, 4, (n,))
    rows = [wave(k, torch.rand(1), 2 + 2 * torch.rand(1), t) for k in kinds.tolist()]
    return (torch.stack(rows) + 0.1 * torch.randn(n, steps)).unsqueeze(-1), kinds


class WaveClassifier(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.gru = nn.GRU(1, hidden, batch_first=True)
        self.proj = nn.Linear(2 * hidden, 4)

    def forward(self, x):
        out, state = self.gru(x)
        logits = self.proj(torch.cat([out.mean(1), state[-1]], dim=1))
        return F.softmax(logits, dim=-1)  #! return F.log_softmax(logits, dim=-1)


x_train, y_train = generate(800)
x_test, y_test = generate(300)
x_train, y_train, x_test, y_test = (a.to(device) for a in (x_train, y_train, x_test, y_test))

net = WaveClassifier().to(device)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=1e-2, total_steps=240)

for step in range(240):
    batch = torch.randint(0, len(x_train), (64,), device=device)
    net.train()
    loss = F.nll_loss(net(x_train[batch]), y_train[batch])  #@
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    sched.step()
    if step % 30 == 29:
        net.eval()
        with torch.no_grad():
            scores = net(x_test)
            acc = (scores.argmax(-1) == y_test).float().mean().item()
            test_loss = F.nll_loss(scores, y_test).item()
        print(f"step {step + 1}: train {loss.item():.4f} test {test_loss:.4f} acc {acc:.3f}")
