"""Distil a digit teacher into a student that keeps the teacher's stem as it is and learns a smaller top."""
# case: double
# codes: loss.wrong-space-into-kl
# also: step.freeze-ineffective
# split: held-out

import copy

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

SEED = 0
TEMPERATURE = 2.0


def minibatches(n, size=50):
    yield from torch.randperm(n).split(size)


def make_teacher():
    stem = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    top = nn.Sequential(nn.Flatten(), nn.Linear(192, 96), nn.ReLU(), nn.Linear(96, 10))
    return nn.Sequential(stem, top)


def train_teacher(x, y):
    teacher = make_teacher()
    optimizer = torch.optim.Adam(teacher.parameters(), lr=3e-3)
    for _ in range(6):
        for idx in minibatches(len(x)):
            loss = F.cross_entropy(teacher(x[idx]), y[idx])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return teacher.eval().requires_grad_(False)


class Student(nn.Module):
    def __init__(self, teacher):
        super().__init__()
        self.stem = copy.deepcopy(teacher[0]).requires_grad_(True)
        self.top = nn.Sequential(nn.Flatten(), nn.Linear(192, 24), nn.ReLU(), nn.Linear(24, 10))

    def freeze_stem(self):
        self.stem.requires_grad = False  #! self.stem.requires_grad_(False)

    def forward(self, x):
        return self.top(self.stem(x))


def distillation(student_logits, teacher_logits):
    soft = (teacher_logits / TEMPERATURE).softmax(1)
    mine = (student_logits / TEMPERATURE).softmax(1)  #! mine = (student_logits / TEMPERATURE).log_softmax(1)
    return TEMPERATURE**2 * F.kl_div(mine, soft, reduction="batchmean")  #@


torch.manual_seed(SEED)
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 0.6
labels = torch.tensor(digits.target)
order = torch.randperm(len(labels))
x, y, x_val, y_val = images[order[:1300]], labels[order[:1300]], images[order[1300:]], labels[order[1300:]]
teacher = train_teacher(x, y)
student = Student(teacher)
student.freeze_stem()  #@
optimizer = torch.optim.Adam(student.parameters(), lr=5e-3)  #@
for epoch in range(10):
    for idx in minibatches(len(x)):
        loss = distillation(student(x[idx]), teacher(x[idx]))  #@
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        a, b = student(x_val).argmax(1), teacher(x_val).argmax(1)
    print(f"epoch {epoch}: loss {loss.item():.4f} accuracy {(a == y_val).float().mean():.3f} agreement {(a == b).float().mean():.3f}")
