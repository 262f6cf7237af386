"""Train an attention encoder on clean digits, save it, then fine-tune it on a few digits from a second, blurred source."""
# case: O20
# codes: step.checkpoint-not-loaded
# split: held-out

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

SEED = 0


class Encoder(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.patch = nn.Linear(4, width)
        self.where = nn.Parameter(torch.randn(16, width) * 0.1)
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm_a, self.norm_b = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 96), nn.GELU(), nn.Linear(96, width))

    def forward(self, patches):
        h = self.patch(patches) + self.where
        h = self.norm_a(h + self.attend(h, h, h, need_weights=False)[0])
        return self.norm_b(h + self.feed(h))


class SourceTask(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.classes = nn.Linear(48, 10)

    def forward(self, patches, labels):
        return F.cross_entropy(self.classes(self.encoder(patches).mean(1)), labels)


def as_patches(images):
    return F.unfold(images.unsqueeze(1), 2, stride=2).transpose(1, 2)


def second_scanner(images):
    blurred = F.avg_pool2d(images.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
    return 0.5 * images + 0.5 * blurred + 0.2 * torch.randn_like(images)


def pretrain(x, y, path):
    model = SourceTask(Encoder())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(300):
        idx = torch.randint(len(x), (64,))
        loss = model(x[idx], y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"source loss {loss.item():.4f}")
    torch.save({"model": model.state_dict(), "step": step}, path)


def finetune(x, y, x_test, y_test, path):
    encoder = Encoder()
    saved = torch.load(path, weights_only=True)["model"]
    saved = {name: value for name, value in saved.items() if name.startswith("encoder.")}  #! saved = {name.removeprefix("encoder."): value for name, value in saved.items() if name.startswith("encoder.")}
    encoder.load_state_dict(saved, strict=False)  #@
    head = nn.Linear(48, 10)
    optimizer = torch.optim.Adam([{"params": encoder.parameters(), "lr": 3e-4}, {"params": head.parameters(), "lr": 1e-2}])
    for step in range(1, 161):
        idx = torch.randperm(len(x))[:40]
        loss = F.cross_entropy(head(encoder(x[idx]).mean(1)), y[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 40 == 0:
            with torch.no_grad():
                right = (head(encoder(x_test).mean(1)).argmax(1) == y_test).float().mean()
            print(f"fine-tuning {step}: loss {loss.item():.4f} accuracy {right:.3f}")


torch.manual_seed(SEED)
digits = load_digits()
order = torch.randperm(len(digits.target))
images = (torch.tensor(digits.images, dtype=torch.float32) / 8 - 1)[order]
y = torch.tensor(digits.target)[order]
clean, other = as_patches(images[:900]), as_patches(second_scanner(images[900:]))
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "source.pt"
    pretrain(clean, y[:900], path)
    finetune(other[:120], y[900:1020], other[120:], y[1020:], path)
