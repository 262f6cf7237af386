"""Sonar clicks of three whale species; clips are cropped and masked at random while training."""
# case: D12
# codes: data.augmented-validation
# split: fresh
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, random_split

SEED = 0


class Clicks(Dataset):
    def __init__(self, clips, species, augment=False):
        self.clips, self.species, self.augment = clips, species, augment

    def __len__(self):
        return len(self.species)

    def __getitem__(self, i):
        clip = self.clips[i]
        if self.augment:
            clip = torch.roll(clip, int(torch.randint(-12, 13, ())))
            gap = int(torch.randint(0, 30, ()))
            clip = torch.cat([clip[:gap], torch.zeros(10), clip[gap + 10 :]])
            clip = clip + 0.3 * torch.randn(48)
        return clip.unsqueeze(0), self.species[i]


def record(n):
    species = torch.randint(0, 3, (n,))
    t = torch.arange(48.0)
    f = torch.tensor([0.9, 1.15, 1.4])[species][:, None]
    centre = 24 + 5 * torch.randn(n, 1)
    return torch.cos(f * (t - centre)) * torch.exp(-(((t - centre) / 7) ** 2)) + 0.2 * torch.randn(n, 48), species


def main():
    torch.manual_seed(SEED)
    clips, species = record(900)
    clicks = Clicks(clips, species, augment=True)
    train, valid = random_split(clicks, [700, 200])
    #+ valid = Subset(Clicks(clips, species), valid.indices)
    fit_loader = DataLoader(train, batch_size=35, shuffle=True)
    valid_loader = DataLoader(valid, batch_size=100)  #@
    net = nn.Sequential(
        nn.Conv1d(1, 16, 9, padding=4), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 24, 7, padding=3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(24, 3)
    )
    opt = torch.optim.Adam(net.parameters(), lr=4e-3)
    sched = torch.optim.lr_scheduler.ExponentialLR(opt, 0.9)
    for epoch in range(12):
        net.train()
        for clip, kind in fit_loader:
            loss = nn.functional.cross_entropy(net(clip), kind)
            opt.zero_grad()
            loss.backward()
            opt.step()
        sched.step()
        net.eval()
        with torch.no_grad():
            hits = sum((net(clip).argmax(1) == kind).sum().item() for clip, kind in valid_loader)  #@
        print(f"epoch {epoch + 1:2d}: last batch {loss.item():.3f}, valid {hits / len(valid):.3f}")


if __name__ == "__main__":
    main()
