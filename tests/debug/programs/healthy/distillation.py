"""A small student learns from a larger teacher's softened outputs and the labels."""
# case: healthy
# codes: none
# split: rules

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 0
TEMPERATURE, ALPHA = 3.0, 0.7


def mlp(width):
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def supervised_loss(model, x, y):
    return F.cross_entropy(model(x), y)


def make_distillation_loss(teacher):
    def loss(student, x, y):
        with torch.no_grad():
            soft = F.softmax(teacher(x) / TEMPERATURE, dim=1)
        logits = student(x)
        kd = F.kl_div(F.log_softmax(logits / TEMPERATURE, dim=1), soft, reduction="batchmean") * TEMPERATURE**2
        return ALPHA * kd + (1 - ALPHA) * F.cross_entropy(logits, y)

    return loss


def fit(model, loss_fn, data, *, epochs, lr, name):
    x, y, x_val, y_val = data
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(64):
            loss = loss_fn(model, x[idx], y[idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(idx)
        model.eval()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean().item()
        if epoch % 3 == 2:
            print(f"{name} epoch {epoch + 1}: loss {total / len(x):.4f} val acc {accuracy:.3f}")
    return model


def main():
    torch.manual_seed(SEED)
    x, y = load_digits(return_X_y=True)
    x_tr, x_va, y_tr, y_va = train_test_split(x, y, test_size=0.3, random_state=SEED, stratify=y)
    mean, std = x_tr.mean(), x_tr.std()
    tensors = [torch.tensor((x_tr - mean) / std).float(), torch.tensor(y_tr), torch.tensor((x_va - mean) / std).float(), torch.tensor(y_va)]
    teacher = fit(mlp(128), supervised_loss, tensors, epochs=12, lr=2e-3, name="teacher")
    teacher.eval()
    fit(mlp(24), make_distillation_loss(teacher), tensors, epochs=15, lr=5e-3, name="student")


if __name__ == "__main__":
    main()
