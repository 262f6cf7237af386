"""Infer mass and damping of a spring from its simulated motion; worker processes run the simulator on the fly."""
# case: D14
# codes: data.repeated-randomness
# split: held-out

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

SEED = 0
TIMES = np.linspace(0, 6, 40)


def simulate(rng):
    mass, damping = rng.uniform(0.5, 2.0), rng.uniform(0.05, 0.6)
    stiffness, start = rng.uniform(2.0, 6.0), rng.uniform(0.8, 1.2)
    decay = damping / (2 * mass)
    omega = np.sqrt(stiffness / mass - decay**2)
    push = stiffness * start + rng.normal(0, 0.02)
    motion = start * np.exp(-decay * TIMES) * np.cos(omega * TIMES) + rng.normal(0, 0.03, len(TIMES))
    seen = np.append(motion, push / 4 - 1).astype(np.float32)
    return seen, np.array([(mass - 1.25) / 0.43, (damping - 0.325) / 0.16], dtype=np.float32)


class Simulator(IterableDataset):
    """An endless supply of springs, `size` of them for each worker and epoch."""

    def __init__(self, size, seed):
        self.size = size
        self.rng = np.random.default_rng(seed)

    def __iter__(self):
        rng = self.rng  #! rng = np.random.default_rng(torch.initial_seed())
        for _ in range(self.size):
            yield simulate(rng)


def test_set(count):
    rng = np.random.default_rng(SEED + 999)
    seen, truth = zip(*(simulate(rng) for _ in range(count)))
    return torch.from_numpy(np.stack(seen)), torch.from_numpy(np.stack(truth))


def main():
    torch.manual_seed(SEED)
    loader = DataLoader(Simulator(64, SEED), batch_size=8, num_workers=2, multiprocessing_context="fork")  #@
    seen_test, truth_test = test_set(400)
    net = nn.Sequential(nn.Linear(41, 96), nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), nn.Linear(96, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for epoch in range(14):
        net.train()
        losses = []
        for seen, truth in loader:
            loss = nn.functional.mse_loss(net(seen), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        if epoch % 2 == 1:
            net.eval()
            with torch.no_grad():
                test = nn.functional.mse_loss(net(seen_test), truth_test).item()
            print(f"epoch {epoch + 1}: train {np.mean(losses):.4f} test {test:.4f}")


if __name__ == "__main__":
    main()
