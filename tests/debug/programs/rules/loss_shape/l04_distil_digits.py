"""Distil a wide digit classifier into a small one, using soft targets only."""
# case: L04
# codes: loss.wrong-space-into-kl
# split: rules

import argparse
from itertools import pairwise

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

SEED = 0


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--teacher-epochs", type=int, default=6)
    parser.add_argument("--student-epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    return parser.parse_args()


def mlp(*sizes):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def batches(n, size):
    return torch.randperm(n).split(size)


def train_teacher(teacher, x, y, args):
    opt = torch.optim.Adam(teacher.parameters(), lr=1e-3)
    teacher.train()
    for _ in range(args.teacher_epochs):
        for idx in batches(len(x), args.batch_size):
            opt.zero_grad()
            F.cross_entropy(teacher(x[idx]), y[idx]).backward()
            opt.step()


def distillation_loss(student_logits, teacher_logits, t):
    student = F.softmax(student_logits / t, dim=1)  #! student = F.log_softmax(student_logits / t, dim=1)
    target = F.softmax(teacher_logits / t, dim=1)
    return F.kl_div(student, target, reduction="batchmean") * t * t  #@


def main():
    args = parse()
    torch.manual_seed(SEED)
    digits = load_digits()
    order = torch.randperm(len(digits.target))
    x = torch.tensor(digits.data, dtype=torch.float32)[order] / 8 - 1
    y = torch.tensor(digits.target)[order]
    (x, x_val), (y, y_val) = (x[:1400], x[1400:]), (y[:1400], y[1400:])

    teacher = mlp(64, 256, 128, 10)
    train_teacher(teacher, x, y, args)
    print(f"teacher val acc {accuracy(teacher, x_val, y_val):.3f}")

    student = mlp(64, 32, 10)
    opt = torch.optim.AdamW(student.parameters(), lr=5e-3)
    for epoch in range(args.student_epochs):
        student.train()
        running = 0.0
        for idx in batches(len(x), args.batch_size):
            with torch.no_grad():
                soft = teacher(x[idx])
            loss = distillation_loss(student(x[idx]), soft, args.temperature)
            opt.zero_grad()
            loss.backward()
            opt.step()
            running += loss.item() * len(idx)
        print(f"epoch {epoch} kd loss {running / len(x):.4f} val acc {accuracy(student, x_val, y_val):.3f}")


main()
