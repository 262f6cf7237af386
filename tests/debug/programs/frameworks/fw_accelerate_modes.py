"""accelerate: CNN with dropout, validated every few steps."""
# case: M01
# codes: mode.training-in-eval
# needs: accelerate
# split: held-out

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

SEED = 0


def dataloaders():
    digits = load_digits()
    x = (torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) - 4.9) / 6.0
    train, val = random_split(TensorDataset(x, torch.tensor(digits.target)), [1397, 400])
    return DataLoader(train, batch_size=50, shuffle=True), DataLoader(val, batch_size=100)


def convnet():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 16, 10),
    )


def evaluate(model, loader, accelerator):
    model.eval()  #@
    correct = seen = 0
    with torch.no_grad():
        for x, y in loader:
            guess, truth = accelerator.gather_for_metrics((model(x).argmax(1), y))
            correct += (guess == truth).sum().item()
            seen += len(truth)
    return correct / seen


def main():
    set_seed(SEED)
    accelerator = Accelerator(cpu=True)
    train_loader, val_loader = dataloaders()
    model = convnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model, optimizer, train_loader, val_loader = accelerator.prepare(model, optimizer, train_loader, val_loader)
    criterion = nn.CrossEntropyLoss()
    step = 0
    for epoch in range(5):
        model.train()
        for x, y in train_loader:
            loss = criterion(model(x), y)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % 10 == 0:
                accuracy = evaluate(model, val_loader, accelerator)  #@
                #+ model.train()
                accelerator.print(f"epoch {epoch} step {step} loss {loss.item():.4f} val acc {accuracy:.3f}")


if __name__ == "__main__":
    main()
