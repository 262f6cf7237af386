"""A two-block transformer that tells, at every bracket, how deep the nesting is there."""
# case: M03
# codes: mode.dropout-always-on
# split: held-out

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SEED = 0


@dataclass(frozen=True)
class Shape:
    length: int = 16
    width: int = 32
    heads: int = 4
    blocks: int = 2
    depths: int = 5
    dropout: float = 0.2


def brackets(count: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Different rows of brackets (1 opens, 0 closes) in random order, and the depth after each of them."""
    token, level = torch.zeros(count, shape.length, dtype=torch.long), torch.zeros(count)
    for t in range(shape.length):
        opens = (torch.rand(count) < 0.5) & (level < shape.depths - 1) | (level == 0)
        level += torch.where(opens, 1, -1)
        token[:, t] = opens
    token = token.unique(dim=0)
    token = token[torch.randperm(len(token))]
    return token, (2 * token - 1).cumsum(1)


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.proj = nn.Linear(shape.width, shape.width)
        self.mlp = nn.Sequential(nn.Linear(shape.width, 96), nn.GELU(), nn.Linear(96, shape.width))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.shape.heads, -1)).transpose(1, 2) for part in parts)
        p = self.shape.dropout  #! p = self.shape.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)  #@
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


class DepthTagger(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token = nn.Embedding(2, shape.width)
        self.place = nn.Parameter(0.3 * torch.randn(shape.length, shape.width))
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.blocks)))
        self.out = nn.Linear(shape.width, shape.depths)

    def forward(self, token: Tensor) -> Tensor:
        return self.out(self.blocks(self.token(token) + self.place))


torch.manual_seed(SEED)
shape = Shape()
token, depth = brackets(3000, shape)
held_token, token = token[:300], token[300:]
held_depth, depth = depth[:300], depth[300:]
model = DepthTagger(shape)
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=200)
for step in range(200):
    model.train()
    rows = torch.randint(len(token), (48,))
    loss = F.cross_entropy(model(token[rows]).transpose(1, 2), depth[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 50 == 49:
        model.eval()
        with torch.no_grad():
            accuracy = (model(held_token).argmax(-1) == held_depth).float().mean().item()
        print(f"step {step + 1} loss {loss.item():.4f} held-out accuracy {accuracy:.4f}")
