"""Multiple-instance learning: a slide is a bag of patches and is positive when any patch is suspicious."""
# case: S05
# codes: shape.constant-attention, shape.softmax-axis
# split: held-out
from typing import NamedTuple

import torch
from torch import Tensor, nn

SEED = 0


class Slides(NamedTuple):
    patches: Tensor  # (slides, patches, features)
    label: Tensor

    def take(self, rows):
        return Slides(self.patches[rows], self.label[rows])


def make_slides(n, direction, n_patches=24):
    patches = torch.randn(n, n_patches, len(direction))
    label = (torch.arange(n) % 2).float()
    for i in range(n):
        if label[i]:
            k = int(torch.randint(1, 4, ()))
            patches[i, torch.randperm(n_patches)[:k]] += 4.2 * direction
    return Slides(patches, label)


class GatedAttentionMIL(nn.Module):
    def __init__(self, n_features, dim=32):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(n_features, dim), nn.LeakyReLU())
        self.att_v = nn.Linear(dim, 16)
        self.att_u = nn.Linear(dim, 16)
        self.att_w = nn.Linear(16, 1)
        self.classifier = nn.Linear(dim, 1)

    def attention(self, h):
        scores = self.att_w(torch.tanh(self.att_v(h)) * torch.sigmoid(self.att_u(h)))
        return scores.softmax(-1)  #! return scores.softmax(-2)

    def forward(self, patches):
        h = self.embed(patches)
        weights = self.attention(h)
        slide = (weights * h).sum(dim=1)
        return self.classifier(slide).squeeze(-1)


def step(model, optimizer, bags):
    loss = nn.functional.binary_cross_entropy_with_logits(model(bags.patches), bags.label)
    model.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def evaluate(model, bags):
    model.eval()
    with torch.inference_mode():
        logit = model(bags.patches)
    model.train()
    return ((logit > 0) == bags.label.bool()).double().mean().item()


if __name__ == "__main__":
    torch.manual_seed(SEED)
    direction = nn.functional.normalize(torch.randn(16), dim=0)
    train, test = make_slides(1400, direction), make_slides(200, direction)
    model = GatedAttentionMIL(16)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-3)
    for epoch in range(12):
        losses = [step(model, optimizer, train.take(rows)) for rows in torch.randperm(1400).split(40)]
        if epoch % 2 == 1:
            print(f"epoch {epoch + 1}: loss {torch.stack(losses).mean():.4f}, "
                  f"train accuracy {evaluate(model, train):.3f}, test accuracy {evaluate(model, test):.3f}")
