"""Grip type from eight-channel muscle signals; channel-wise features averaged over time before the classifier."""
# case: S07
# codes: shape.samples-mixed, model.ignores-input
# split: fresh
import torch
from torch import nn, Tensor

SEED = 0


def emg(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    grip = torch.randint(0, 5, (n,), generator=g)
    gain = torch.tensor([[2, 1, 1, .4, 1, 1, .4, 1], [1, 2, .4, 1, 1, .4, 1, 1], [.4, 1, 2, 1, .4, 1, 1, 1], [1, .4, 1, 2, 1, 1, 1, .4], [1, 1, 1, 1, 2, .4, 1, .4]])
    return torch.randn(n, 50, 8, generator=g) * gain[grip][:, None], grip


class GripNet(nn.Module):
    def __init__(self, channels: int = 8, width: int = 24, grips: int = 5) -> None:
        super().__init__()
        self.per_step = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.head = nn.Linear(width, grips)

    def forward(self, signal: Tensor) -> Tensor:
        steps = self.per_step(signal)
        pooled = steps.mean(0).mean(0)  #! pooled = steps.mean(1)
        return self.head(pooled).expand(len(signal), -1)  #! return self.head(pooled)


def train(net: nn.Module, data: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], epochs: int) -> None:
    opt = torch.optim.NAdam(net.parameters(), lr=3e-3)
    ce = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        history = []
        for rows in torch.randperm(len(data[0])).split(25):
            loss = ce(net(data[0][rows]), data[1][rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
            history.append(loss.detach())
        with torch.no_grad():
            acc = (net(valid[0]).argmax(1) == valid[1]).float().mean()
        print(f"epoch {epoch}: loss {torch.stack(history).mean():.3f}, validation {acc:.3f}")


if __name__ == "__main__":
    g = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    train(GripNet(), emg(600, g), emg(200, g), epochs=10)
