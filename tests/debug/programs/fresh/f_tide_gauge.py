"""Quality flags of tide gauge records (good, spike, drift, stuck); archive files are read one station after another."""
# case: double
# codes: data.not-shuffled
# also: step.gradients-not-cleared
# split: fresh
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

SEED = 0
torch.manual_seed(SEED)


def archive(flag, n):
    t = torch.arange(30.0)
    r = torch.sin(0.5 * t + 6.28 * torch.rand(n, 1)) + 0.1 * torch.randn(n, 30)
    if flag == 1:
        r[torch.arange(n), torch.randint(3, 27, (n,))] += 2.5
    elif flag == 2:
        r = r + 0.08 * (t - 15)
    elif flag == 3:
        r[:, 12:] = r[:, 12:13]
    return TensorDataset(r, torch.full((n,), flag))


files = ConcatDataset([archive(f, 200) for f in range(4)])
test_r, test_f = next(iter(DataLoader(ConcatDataset([archive(f, 60) for f in range(4)]), batch_size=240)))
loader = DataLoader(files, batch_size=25)  #! loader = DataLoader(files, batch_size=25, shuffle=True)
net = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for epoch in range(1, 31):
    mean = 0.0
    for r, f in loader:  #@
        loss = nn.functional.cross_entropy(net(r), f)
        #+ opt.zero_grad()
        loss.backward()  #@
        opt.step()  #@
        mean += loss.item() / len(loader)
    if epoch % 5 == 0:
        with torch.no_grad():
            print(f"epoch {epoch}: loss {mean:.3f} test {(net(test_r).argmax(1) == test_f).float().mean():.3f}")
