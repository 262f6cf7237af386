"""Classify short sounds from their spectrogram: a GRU reads the frames in order."""
# case: S01
# codes: shape.layout-scrambled
# split: held-out
import torch
from torch import nn

SEED = 0
BANDS, FRAMES = 20, 32
KINDS = ["rising", "falling", "steady", "vibrato", "up-down", "down-up"]


def synthesise(n, gen):
    """Log energies (n, bands, frames) of a tone that moves as its class says, plus noise."""
    kind = torch.randint(len(KINDS), (n,), generator=gen)
    t = torch.linspace(0, 1, FRAMES)
    curves = torch.stack([t - 0.5, 0.5 - t, 0 * t, 0.25 * torch.sin(18 * t), 0.5 - (2 * t - 1).abs(), (2 * t - 1).abs() - 0.5])
    depth = 8 + 4 * torch.rand(n, 1, generator=gen)
    pitch = 7 + 6 * torch.rand(n, 1, generator=gen) + depth * curves[kind]
    band = torch.arange(BANDS).float()
    energy = torch.exp(-0.5 * ((band[:, None] - pitch[:, None, :]) / 1.2) ** 2)
    return torch.log(energy + 0.05) + 0.8 * torch.randn(n, BANDS, FRAMES, generator=gen), kind


class SoundGRU(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.norm = nn.LayerNorm(BANDS)
        self.gru = nn.GRU(BANDS, hidden, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(hidden, len(KINDS))

    def forward(self, spectrogram):
        batch = spectrogram.size(0)
        frames = spectrogram.reshape(batch, FRAMES, BANDS)  #! frames = spectrogram.transpose(1, 2)
        states, _ = self.gru(self.norm(frames))
        return self.out(self.drop(states.mean(dim=1)))


def main():
    gen = torch.Generator().manual_seed(SEED)
    torch.manual_seed(SEED)
    sounds, kind = synthesise(900, gen)
    sounds = (sounds - sounds[:600].mean()) / sounds[:600].std()
    val_sounds, val_kind = sounds[600:], kind[600:]
    net = SoundGRU()
    ce = nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15)
    for epoch in range(15):
        net.train()
        running, hits = 0.0, 0
        for rows in torch.randperm(600, generator=gen).split(50):
            scores = net(sounds[rows])
            loss = ce(scores, kind[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            running += loss.item() / 12
            hits += (scores.argmax(1) == kind[rows]).sum().item()
        scheduler.step()
        if epoch % 2 == 0:
            net.eval()
            with torch.no_grad():
                scores = net(val_sounds)
                val_acc = (scores.argmax(1) == val_kind).float().mean()
            print(f"{epoch:2d}: loss {running:.3f} acc {hits / 600:.3f} | val loss {ce(scores, val_kind):.3f} acc {val_acc:.3f}")


if __name__ == "__main__":
    main()
