"""Counting tokens with a small transformer, learning rate with warm-up and inverse square root decay."""
# case: O13
# codes: step.schedule-mistimed, step.learning-rate-too-low
# split: fresh
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

SEED = 0


def noam(step, warm=200):
    step = max(step, 1)
    return min(step / warm, (warm / step) ** 0.5)


def sequences(n, length=14, vocab=6):
    s = torch.randint(0, vocab, (n, length))
    most = torch.stack([(s == v).sum(1) for v in range(vocab)], 1)
    return s, most[:, 0].clamp(max=5)


class Counter(nn.Module):
    def __init__(self, vocab=6, dim=32, classes=6):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.attn = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 64), nn.GELU(), nn.Linear(64, dim))
        self.out = nn.Linear(dim, classes)

    def forward(self, s):
        h = self.emb(s)
        q = self.ln1(h)
        h = h + self.attn(q, q, q, need_weights=False)[0]
        h = h + self.mlp(self.ln2(h))
        return self.out(h.mean(1))


def main():
    torch.manual_seed(SEED)
    s, c = sequences(1500)
    st, ct = sequences(400)
    net = Counter()
    opt = torch.optim.Adam(net.parameters(), lr=4e-3, betas=(0.9, 0.98))
    schedule = LambdaLR(opt, noam)
    for epoch in range(10):
        net.train()
        for i in torch.randperm(1500).split(30):
            loss = nn.functional.cross_entropy(net(s[i]), c[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
            #+ schedule.step()
        schedule.step()  #!
        net.eval()
        with torch.no_grad():
            acc = (net(st).argmax(1) == ct).float().mean()
        if epoch % 2:
            print(f"epoch {epoch + 1:2d}  loss {loss.item():.3f}  accuracy {acc:.3f}")


main()
