"""Price regression from a picture and a table: two encoders and a fusion head, one learning rate each."""
# case: O03
# codes: step.parameter-not-optimised
# split: rules

import torch
import torch.nn as nn

SEED = 0
torch.manual_seed(SEED)


class ImageBranch(nn.Module):
    def __init__(self, out=32):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 9, out), nn.Tanh(),
        )

    def forward(self, image):
        return self.body(image)


class TableBranch(nn.Module):
    def __init__(self, columns, out=16):
        super().__init__()
        self.fc = nn.Linear(columns, out)

    def forward(self, table):
        return torch.relu(self.fc(table))


class FusionModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.table = ImageBranch(), TableBranch(6)
        self.head = nn.Linear(48, 1)

    def forward(self, image, table):
        return self.head(torch.cat([self.image(image), self.table(table)], dim=1)).squeeze(1)


def make_data(n):
    row, col = torch.randint(0, 12, (2, n))
    image = 0.3 * torch.randn(n, 1, 12, 12)
    grid = torch.arange(12)
    blob = torch.exp(-((grid[None, :, None] - row[:, None, None]) ** 2 + (grid[None, None] - col[:, None, None]) ** 2) / 2.0)
    image = image + 2 * blob[:, None]
    table = torch.randn(n, 6)
    price = torch.sin(row / 2.0) + torch.cos(col / 2.0) + 0.4 * table[:, 0] - 0.3 * table[:, 1]
    return image, table, price


image, table, price = make_data(1500)
val = make_data(400)
model = FusionModel()
optimizer = torch.optim.AdamW([  #! optimizer = torch.optim.AdamW([
    #+ {"params": model.image.parameters(), "lr": 4e-3},
    {"params": model.table.parameters(), "lr": 4e-3},  #@
    {"params": model.head.parameters(), "lr": 4e-3},  #@
])  #@
criterion = nn.MSELoss()

for epoch in range(8):
    model.train()
    order = torch.randperm(len(price))
    epoch_loss = 0.0
    for chunk in order.split(60):
        optimizer.zero_grad(set_to_none=True)
        loss = criterion(model(image[chunk], table[chunk]), price[chunk])
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(chunk) / len(price)
    model.eval()
    with torch.no_grad():
        val_loss = criterion(model(val[0], val[1]), val[2]).item()
    print(f"{epoch}: train mse {epoch_loss:.4f}  val mse {val_loss:.4f}")
