"""Transformer encoder that counts a token, trained with a linear warm-up from (almost) zero and a linear decay."""
# case: H16
# codes: none
# split: held-out

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

SEED = 0
TOTAL_STEPS, WARMUP_STEPS, PEAK_LR = 400, 100, 2e-3

torch.manual_seed(SEED)


def make_data(n, length=12, vocab=6):
    """How often does token 0 occur: never, once, twice or more often?"""
    x = torch.randint(vocab, (n, length))
    return x, (x == 0).sum(1).clamp(max=3)


class Counter(nn.Module):
    def __init__(self, vocab=6, length=12, d=32, classes=4):
        super().__init__()
        self.tok = nn.Embedding(vocab, d)
        self.pos = nn.Parameter(0.02 * torch.randn(1, length, d))
        layer = nn.TransformerEncoderLayer(d, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, classes))

    def forward(self, x):
        return self.head(self.encoder(self.tok(x) + self.pos).mean(1))


def lr_lambda(step):
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    return max(0.02, (TOTAL_STEPS - step) / (TOTAL_STEPS - WARMUP_STEPS))


x_train, y_train = make_data(8000)
x_val, y_val = make_data(1000)
model = Counter()
optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=0.01)
scheduler = LambdaLR(optimizer, lr_lambda)
criterion = nn.CrossEntropyLoss()

for step in range(TOTAL_STEPS):
    batch = torch.randint(len(x_train), (64,))
    model.train()
    loss = criterion(model(x_train[batch]), y_train[batch])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if step % 50 == 49:
        model.eval()
        with torch.no_grad():
            acc = (model(x_val).argmax(-1) == y_val).float().mean()
        print(f"step {step + 1} lr {scheduler.get_last_lr()[0]:.1e} loss {loss.item():.3f} val acc {acc:.3f}")
