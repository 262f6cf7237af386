"""Which way does the blob move?  A CNN looks at every frame of a clip, a GRU joins the frames."""
# case: S02
# codes: shape.samples-mixed
# split: held-out
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = 0
DIRECTIONS = torch.tensor([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])


def film(n, frames=6, size=12):
    way = torch.randint(0, 4, (n,))
    start = size / 2 + 2 * (torch.rand(n, 1, 2) - 0.5) - 3 * DIRECTIONS[way].unsqueeze(1)
    speed = 1.0 + 0.3 * torch.rand(n, 1, 1)
    position = start + torch.arange(frames).view(1, -1, 1) * speed * DIRECTIONS[way].unsqueeze(1)
    grid = torch.stack(torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij"), dim=-1).float()
    dist2 = ((grid - position[:, :, None, None]) ** 2).sum(-1)
    clips = 2 * torch.exp(-dist2 / 3) + 0.3 * torch.randn(n, frames, size, size)
    return clips.unsqueeze(2), way


class FrameEncoder(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(16 * 9, dim), nn.ReLU(),
        )

    def forward(self, frames):
        return self.net(frames)


class ClipClassifier(nn.Module):
    def __init__(self, dim=32, classes=4):
        super().__init__()
        self.encode = FrameEncoder(dim)
        self.join = nn.GRU(dim, dim)
        self.classify = nn.Linear(dim, classes)

    def forward(self, clips):
        b, t = clips.shape[:2]
        features = self.encode(clips.flatten(0, 1))
        features = features.view(t, b, -1)  #! features = features.view(b, t, -1).transpose(0, 1)
        _, last = self.join(features)
        return self.classify(last.squeeze(0))


torch.manual_seed(SEED)
train_loader = DataLoader(TensorDataset(*film(640)), batch_size=32, shuffle=True)
test_loader = DataLoader(TensorDataset(*film(160)), batch_size=32)
model = ClipClassifier()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(8):
    model.train()
    epoch_loss = 0.0
    for clips, way in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(clips), way)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item()
    model.eval()
    correct = 0
    with torch.no_grad():
        for clips, way in test_loader:
            correct += (model(clips).argmax(1) == way).sum().item()
    print(f"Epoch {epoch + 1}: train loss {epoch_loss / len(train_loader):.4f}, test accuracy {correct / 160:.3f}")
