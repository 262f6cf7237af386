"""Long-memory task: remember the first symbol of a noisy sequence; plain recurrent network with gradient clipping."""
# case: O16
# codes: step.clipping-ineffective
# split: fresh
import torch
from torch import nn

SEED = 0


class Elman(nn.Module):
    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.i2h = nn.Linear(n_in, n_hidden)
        self.h2h = nn.Linear(n_hidden, n_hidden, bias=False)
        self.h2o = nn.Linear(n_hidden, n_out)
        nn.init.orthogonal_(self.h2h.weight, gain=2.0)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.h2h.in_features)
        for t in range(x.shape[1]):
            h = torch.relu(self.i2h(x[:, t]) + self.h2h(h))
        return self.h2o(h)


def task(n, steps=16):
    k = torch.randint(0, 4, (n,))
    x = 0.2 * torch.randn(n, steps, 5)
    x[torch.arange(n), 0, k] += 2
    x[:, -1, 4] += 2
    return x, k


torch.manual_seed(SEED)
X, K = task(1500)
Xt, Kt = task(400)
rnn = Elman(5, 32, 4)
opt = torch.optim.SGD(rnn.parameters(), lr=0.02)
max_norm = 0.5
for epoch in range(15):
    losses, norms = [], []
    for i in torch.randperm(1500).split(30):
        loss = nn.functional.cross_entropy(rnn(X[i]), K[i])
        opt.zero_grad()
        nn.utils.clip_grad_norm_(rnn.parameters(), max_norm)  #!
        loss.backward()
        #+ nn.utils.clip_grad_norm_(rnn.parameters(), max_norm)
        opt.step()  #@
        losses.append(loss.item())
    with torch.no_grad():
        acc = (rnn(Xt).argmax(1) == Kt).float().mean().item()
    if epoch % 3 == 2:
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}, worst {max(losses):.3f}, test {acc:.3f}")
