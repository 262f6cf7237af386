"""Precio de pisos: red densa con bucle propio y validación cruzada de tres pliegues."""
# case: L12
# codes: loss.target-scale
# split: fresh
import numpy as np
import torch
from sklearn.model_selection import KFold

SEED = 0
rng = np.random.default_rng(SEED)


def pisos(n):
    metros, habitaciones = rng.uniform(35, 180, n), rng.integers(1, 6, n)
    planta, centro, reforma = rng.integers(0, 9, n), rng.exponential(3.0, n), rng.integers(0, 2, n)
    precio = 2900 * metros * np.exp(-0.12 * centro) + 9000 * habitaciones + 4000 * planta + 38000 * reforma
    X = np.column_stack([metros, habitaciones, planta, centro, reforma])
    return X, precio * rng.lognormal(0, 0.04, n)


X, precio = pisos(900)
X = (X - X.mean(0)) / X.std(0)
errores = []
for pliegue, (ent, val) in enumerate(KFold(3, shuffle=True, random_state=SEED).split(X)):
    torch.manual_seed(SEED + pliegue)
    media, desv = 0.0, 1.0  #! media, desv = precio[ent].mean(), precio[ent].std()
    xe = torch.as_tensor(X[ent], dtype=torch.float32)
    ye = torch.as_tensor((precio[ent] - media) / desv, dtype=torch.float32)
    xv = torch.as_tensor(X[val], dtype=torch.float32)
    red = torch.nn.Sequential(torch.nn.Linear(5, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))
    opt = torch.optim.Adam(red.parameters(), lr=2e-3)
    for epoca in range(25):
        for lote in torch.randperm(len(xe)).split(50):
            perdida = torch.nn.functional.mse_loss(red(xe[lote]).squeeze(1), ye[lote])  #@
            opt.zero_grad()
            perdida.backward()
            opt.step()
    with torch.no_grad():
        estimado = red(xv).squeeze(1).numpy() * desv + media
    error = np.abs(estimado - precio[val]).mean() / precio[val].mean()
    errores.append(error)
    print(f"pliegue {pliegue}: pérdida {perdida.item():.5g}, error relativo {error:.3f}")
print(f"media {np.mean(errores):.3f}")
