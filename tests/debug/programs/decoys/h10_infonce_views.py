"""Self-supervised embeddings of digits with InfoNCE over two noisy views, judged by nearest neighbours."""
# case: H10
# codes: none
# split: held-out

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

SEED = 0


class Encoder(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1)
        self.conv2 = nn.Conv2d(24, 48, 3, padding=1)
        self.project = nn.Linear(48 * 4, dim)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.normalize(self.project(x.flatten(1)), dim=-1)


def augment(x):
    """A small random rotation, scale and shift of each image, and some noise."""
    n = len(x)
    angle = 0.25 * torch.randn(n, device=x.device)
    scale = 1 + 0.1 * torch.randn(n, device=x.device)
    theta = torch.zeros(n, 2, 3, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale * angle.cos()
    theta[:, 0, 1], theta[:, 1, 0] = -angle.sin(), angle.sin()
    theta[:, :, 2] = 0.12 * torch.randn(n, 2, device=x.device)
    x = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
    return x + 0.1 * torch.randn_like(x)


def info_nce(a, b, temperature=0.2):
    logits = a @ b.t() / temperature
    target = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


@torch.no_grad()
def knn_accuracy(encoder, x_ref, y_ref, x_query, y_query, k=5):
    encoder.eval()
    similarity = encoder(x_query) @ encoder(x_ref).t()
    votes = y_ref[similarity.topk(k, dim=1).indices]
    return (votes.mode(dim=1).values == y_query).float().mean().item()


def main():
    torch.manual_seed(SEED)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32, device=device).unsqueeze(1) / 16
    y = torch.tensor(digits.target, device=device)
    order = torch.randperm(len(x), device=device)
    train, held = order[:1300], order[1300:]

    encoder = Encoder().to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=2e-3)
    batch_size = 128
    for epoch in range(15):
        encoder.train()
        losses = []
        perm = train[torch.randperm(len(train))]
        for start in range(0, len(perm) - batch_size + 1, batch_size):
            batch = x[perm[start : start + batch_size]]
            loss = info_nce(encoder(augment(batch)), encoder(augment(batch)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 3 == 2:
            accuracy = knn_accuracy(encoder, x[train], y[train], x[held], y[held])
            print(f"epoch {epoch + 1}: InfoNCE {sum(losses) / len(losses):.3f}, 5-NN accuracy on held-out digits {accuracy:.3f}")


if __name__ == "__main__":
    main()
