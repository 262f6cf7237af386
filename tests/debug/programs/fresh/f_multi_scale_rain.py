"""Rain nowcasting from a radar strip with parallel branches of different kernel size."""
# case: O04
# codes: step.unregistered-parameter
# split: fresh
import torch
from torch import nn

SEED = 0
torch.manual_seed(SEED)


class MultiScale(nn.Module):
    def __init__(self, kernels=(3, 7, 15), maps=10, strip=40):
        super().__init__()
        self.branches = {f"k{k}": nn.Conv1d(4, maps, k, padding=k // 2) for k in kernels}  #! self.branches = nn.ModuleDict({f"k{k}": nn.Conv1d(4, maps, k, padding=k // 2) for k in kernels})
        self.merge = nn.Conv1d(maps * len(kernels), 1, 1)

    def forward(self, x):
        parts = [torch.relu(branch(x)) for branch in self.branches.values()]
        return self.merge(torch.cat(parts, 1)).squeeze(1)


def rain(n):
    pos = torch.arange(40.0)
    start, speed = 5 + 25 * torch.rand(n, 2, 1), 3 * torch.randn(n, 2, 1)
    width, gain = 2 + 2 * torch.rand(n, 2, 1), torch.rand(n, 2, 1) + 0.3
    frames = [(gain * torch.exp(-(((pos - start - speed * k) / width) ** 2))).sum(1) for k in range(5)]
    past = torch.stack(frames[:4], 1) + 0.03 * torch.randn(n, 4, 40)
    return past, frames[4]


past, future = rain(1200)
past_t, future_t = rain(300)
model = MultiScale()
print("trainable numbers:", sum(p.numel() for p in model.parameters()))  #@
opt = torch.optim.Adam(model.parameters(), lr=4e-3)  #@
for epoch in range(1, 21):
    model.train()
    for k in torch.randperm(len(past)).split(40):
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(past[k]), future[k])
        loss.backward()
        opt.step()
    if epoch % 4 == 0:
        model.eval()
        with torch.no_grad():
            mse = nn.functional.mse_loss(model(past_t), future_t).item()
            still = nn.functional.mse_loss(past_t[:, 3], future_t).item()
        print(f"epoch {epoch}: train {loss.item():.5f} test {mse:.5f} (persistence {still:.5f})")
