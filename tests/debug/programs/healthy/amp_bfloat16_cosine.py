"""bfloat16 autocast with gradient clipping, warm-up and cosine decay on digits cut into patches."""
# case: healthy
# codes: none
# split: held-out

import math

import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
torch.manual_seed(SEED)
device = "cuda" if torch.cuda.is_available() else "cpu"
steps, warmup, peak = 240, 30, 3e-3


class MixerBlock(nn.Module):
    def __init__(self, patches, dim):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.across = nn.Sequential(nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches))
        self.within = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.across(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self, dim=48, blocks=2):
        super().__init__()
        self.patch = nn.Conv2d(1, dim, kernel_size=2, stride=2)
        self.blocks = nn.Sequential(*[MixerBlock(16, dim) for _ in range(blocks)])
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 10))

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(tokens).mean(dim=1))


def schedule(step):
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


d = load_digits()
x = (torch.tensor(d.images, dtype=torch.float32).unsqueeze(1) / 16 - 0.305) / 0.376
y = torch.tensor(d.target)
perm = torch.randperm(len(x))
tr, va = perm[:1400], perm[1400:]
model = Mixer().to(device)
opt = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.05)
sched = torch.optim.lr_scheduler.LambdaLR(opt, schedule)
criterion = nn.CrossEntropyLoss()

for step in range(steps):
    model.train()
    idx = tr[torch.randint(len(tr), (64,))]
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = criterion(model(x[idx].to(device)), y[idx].to(device))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    opt.step()
    sched.step()
    if (step + 1) % 40 == 0:
        model.eval()
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16):
            acc = (model(x[va].to(device)).argmax(1).cpu() == y[va]).float().mean().item()
        print(f"step {step + 1:3d} lr {sched.get_last_lr()[0]:.5f} loss {loss.item():.4f} grad norm {norm.item():.2f} val acc {acc:.3f}")
