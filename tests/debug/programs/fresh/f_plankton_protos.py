"""Few-shot plankton: an embedding trained by prototype classification, episodes drawn at random."""
# case: O10
# codes: step.learning-rate-too-low
# split: fresh
import torch
import torch.nn.functional as F
from torch import nn

SEED = 0
WAYS, SHOTS, QUERIES = 5, 4, 6
torch.manual_seed(SEED)
mixing = torch.randn(10, 32)


def sample(kind):
    n = len(kind)
    hidden = torch.zeros(n, 10)
    hidden[:, :5] = kind
    hidden[:, 5:] = 2.2 * torch.randn(n, 5)
    return torch.tanh(0.4 * hidden @ mixing) + 0.05 * torch.randn(n, 32)


def episode():
    kinds = 1.5 * torch.randn(WAYS, 5)
    support = sample(kinds.repeat_interleave(SHOTS, 0))
    query = sample(kinds.repeat_interleave(QUERIES, 0))
    return support, query, torch.arange(WAYS).repeat_interleave(QUERIES)


net = nn.Sequential(nn.Linear(32, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 16))
opt = torch.optim.Adam(net.parameters(), lr=1e-7)  #! opt = torch.optim.Adam(net.parameters(), lr=1e-3)
history = []
for it in range(1, 1001):
    support, query, target = episode()
    proto = net(support).view(WAYS, SHOTS, -1).mean(1)
    logits = -torch.cdist(net(query), proto) ** 2
    loss = F.cross_entropy(logits, target)
    opt.zero_grad()
    loss.backward()
    opt.step()  #@
    history.append((loss.item(), (logits.argmax(1) == target).float().mean().item()))
    if it % 200 == 0:
        last = torch.tensor(history[-200:]).mean(0)
        print(f"episode {it}: loss {last[0]:.3f}, accuracy {last[1]:.3f}")
