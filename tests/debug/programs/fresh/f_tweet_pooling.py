"""Does a message ask for help? Word vectors pooled by additive attention, trained on generated messages."""
# case: S05
# codes: shape.constant-attention
# split: fresh
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

SEED = 0


class Config:
    vocab = 500
    words = 40
    dim = 20
    urgent = 12
    epochs = 10
    batch = 25


def messages(n, rng, cfg):
    text = rng.integers(cfg.urgent, cfg.vocab, (n, cfg.words))
    label = rng.integers(0, 2, n)
    spot = rng.integers(0, cfg.words, n)
    word = rng.integers(0, cfg.urgent // 2, n) + (cfg.urgent // 2) * (1 - label)
    text[np.arange(n), spot] = word
    return torch.tensor(text), torch.tensor(label)


class AttentionPool(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.project = nn.Linear(dim, dim)
        self.score = nn.Linear(dim, 1, bias=False)

    def forward(self, h):
        e = self.score(torch.tanh(self.project(h)))
        alpha = F.softmax(e, dim=-1)  #! alpha = F.softmax(e, dim=1)
        return (alpha * h).sum(1)  #@


class HelpDetector(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.emb = nn.Embedding(cfg.vocab, cfg.dim)
        self.pool = AttentionPool(cfg.dim)
        self.fc = nn.Linear(cfg.dim, 2)

    def forward(self, text):
        return self.fc(self.pool(self.emb(text)))


cfg = Config()
rng = np.random.default_rng(SEED)
torch.manual_seed(SEED)
train_x, train_y = messages(500, rng, cfg)
test_x, test_y = messages(400, rng, cfg)
net = HelpDetector(cfg)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(cfg.epochs):
    order = torch.randperm(len(train_x))
    total, correct = 0.0, 0
    for s in range(0, len(order), cfg.batch):
        i = order[s : s + cfg.batch]
        out = net(train_x[i])
        loss = F.cross_entropy(out, train_y[i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        total += loss.item() * len(i)
        correct += (out.argmax(1) == train_y[i]).sum().item()
    with torch.no_grad():
        test_acc = (net(test_x).argmax(1) == test_y).float().mean().item()
    print("Epoch %d  loss %.4f  train acc %.3f  test acc %.3f" % (epoch, total / len(order), correct / len(order), test_acc))
