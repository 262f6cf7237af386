"""Multi-label tagging of short posts with an asymmetric focal loss, trained under autocast in bfloat16."""
# case: N04
# codes: numeric.half-precision-range, numeric.non-finite-loss
# split: held-out

import torch
from torch import nn

SEED = 0
TAGS, WORDS, LENGTH = 10, 400, 16
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class AsymmetricLoss(nn.Module):
    """Focal loss that forgives easy negatives more than easy positives."""

    def __init__(self, gamma_pos=0.0, gamma_neg=1.0, eps=1e-6):
        super().__init__()
        self.gamma_pos, self.gamma_neg, self.eps = gamma_pos, gamma_neg, eps

    def forward(self, logits, target):
        p = torch.sigmoid(logits).clamp(self.eps, 1 - self.eps)  #! p = torch.sigmoid(logits.float()).clamp(self.eps, 1 - self.eps)
        positive = target * torch.log(p) * (1 - p) ** self.gamma_pos  #@
        negative = (1 - target) * torch.log(1 - p) * p**self.gamma_neg  #@
        return -(positive + negative).mean()


class Tagger(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.words = nn.Embedding(WORDS, width)
        self.conv = nn.Conv1d(width, width, 3, padding=1)
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, TAGS))

    def forward(self, post):
        h = torch.relu(self.conv(self.words(post).transpose(1, 2)))
        return self.out(h.amax(dim=-1))


def posts(count):
    """Each tag has ten words of its own; a post with that tag holds at least one of them."""
    post = torch.randint(10 * TAGS, WORDS, (count, LENGTH))
    for row in post:
        chosen = torch.randperm(TAGS)[: int(torch.randint(1, 4, ()))]
        place = torch.randperm(LENGTH)[: 2 * len(chosen)]
        row[place] = (10 * chosen).repeat(2) + torch.randint(10, (len(place),))
    target = torch.zeros(count, TAGS)
    own = (post < 10 * TAGS).nonzero()
    target[own[:, 0], post[own[:, 0], own[:, 1]] // 10] = 1.0
    return post.to(device), target.to(device)


def main():
    torch.manual_seed(SEED)
    (post, target), (post_test, target_test) = posts(1600), posts(300)
    tagger, criterion = Tagger().to(device), AsymmetricLoss()
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=4e-3)
    for epoch in range(11):
        tagger.train()
        running = 0.0
        for rows in torch.randperm(len(post), device=device).split(40):
            with torch.autocast(device.type, dtype=torch.bfloat16):
                loss = criterion(tagger(post[rows]), target[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            running += loss.item()
        tagger.eval()
        with torch.no_grad(), torch.autocast(device.type, dtype=torch.bfloat16):
            right = ((tagger(post_test) > 0) == target_test.bool()).all(1).float().mean().item()
        print(f"epoch {epoch}: loss {running / 40:.4f}, posts with all tags right {right:.3f}")


main()
