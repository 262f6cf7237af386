"""Predict the output of a plant from a table of sensor readings, some of which dropped out."""
# case: D16
# codes: data.non-finite, numeric.non-finite-loss
# split: rules

import numpy as np
import torch

SEED = 0


def read_sensors(rows=1500, columns=12):
    rng = np.random.default_rng(SEED)
    hidden = rng.normal(size=(rows, 4))
    table = hidden @ rng.normal(size=(4, columns)) + 0.3 * rng.normal(size=(rows, columns))
    table = table * rng.uniform(1, 40, columns) + rng.uniform(-50, 50, columns)
    power = np.tanh(hidden[:, 0]) * 2 + hidden[:, 1] + 0.5 * hidden[:, 2] * hidden[:, 3] + rng.normal(0, 0.1, rows)
    table[rng.random(table.shape) < 0.01] = np.nan
    return table, power


def standardise(table, reference):
    """Bring every column to mean zero and deviation one as measured on the reference rows."""
    center, width = np.nanmean(reference, 0), np.nanstd(reference, 0)
    scores = (table - center) / width  #! scores = np.nan_to_num((table - center) / width)
    return torch.from_numpy(scores).float()


table, power = read_sensors()
rng = np.random.default_rng(SEED + 1)
rows = rng.permutation(len(table))
train, val = rows[:1200], rows[1200:]
x_train, x_val = standardise(table[train], table[train]), standardise(table[val], table[train])
y_train, y_val = torch.from_numpy(power[train]).float(), torch.from_numpy(power[val]).float()

torch.manual_seed(SEED)
layers = []
for inputs, outputs in [(12, 64), (64, 64)]:
    layers += [torch.nn.Linear(inputs, outputs), torch.nn.SiLU()]
model = torch.nn.Sequential(*layers, torch.nn.Linear(64, 1), torch.nn.Flatten(0))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

for epoch in range(15):
    shuffled = torch.randperm(len(x_train))
    history = []
    for batch in shuffled.split(100):
        loss = torch.mean((model(x_train[batch]) - y_train[batch]) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    decay.step()
    if epoch % 3 == 2:
        with torch.no_grad():
            rmse = torch.mean((model(x_val) - y_val) ** 2).sqrt().item()
        print(f"epoch {epoch + 1}: train mse {np.mean(history):.4f}, val rmse {rmse:.3f}")
