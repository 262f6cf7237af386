"""Sort drinks into four kinds by their chemistry, with a gated residual network and its own likelihood."""
# case: S04
# codes: shape.softmax-axis, shape.samples-mixed
# split: rules

import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)
KINDS, FEATURES = 4, 13


def sample(count, prototypes, mixing):
    kind = torch.randint(KINDS, (count,))
    return (prototypes[kind] + torch.randn(count, FEATURES)) @ mixing, kind


class Gate(nn.Module):
    def __init__(self, width, p=0.1):
        super().__init__()
        self.value, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(p)

    def forward(self, h):
        z = self.norm(h)
        return h + self.drop(self.value(z) * torch.sigmoid(self.gate(z)))


class GatedNet(nn.Module):
    def __init__(self, width=40):
        super().__init__()
        self.inlet = nn.Linear(FEATURES, width)
        self.gates = nn.ModuleList([Gate(width), Gate(width)])
        self.outlet = nn.Linear(width, KINDS)

    def forward(self, x):
        h = self.inlet(x)
        for gate in self.gates:
            h = gate(h)
        return self.outlet(h)


def negative_log_likelihood(scores, kind):
    log_p = torch.log_softmax(scores, dim=0)  #! log_p = torch.log_softmax(scores, dim=1)
    return -log_p.gather(1, kind[:, None]).mean()  #@


prototypes = 0.9 * torch.randn(KINDS, FEATURES)
mixing = torch.linalg.qr(torch.randn(FEATURES, FEATURES))[0]
x, y = sample(1280, prototypes, mixing)
x_held, y_held = sample(512, prototypes, mixing)
center, spread = x.mean(0), x.std(0)
x, x_held = (x - center) / spread, (x_held - center) / spread

net = GatedNet()
optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, nesterov=True, weight_decay=1e-4)
for step in range(1, 241):
    net.train()
    pick = torch.randint(len(x), (32,))
    loss = negative_log_likelihood(net(x[pick]), y[pick])
    net.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 40 == 0:
        net.eval()
        with torch.no_grad():
            scores = net(x_held)
        held = negative_log_likelihood(scores[:32], y_held[:32]).item()
        right = (scores.argmax(1) == y_held).float().mean().item()
        print(f"{step:4d}  loss {loss.item():.3f}  held-out loss {held:.3f}  held-out accuracy {right:.3f}")
