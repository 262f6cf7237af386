"""Estimate the speed of a bright spot from the change between two camera frames."""
# case: D05
# codes: data.integer-wraparound
# split: rules

import numpy as np
import torch

SEED = 0
SIDE = 14


def record(count, rng):
    """Pairs of byte frames and the movement in pixels between them."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    start = rng.uniform(4, SIDE - 4, (count, 2))
    speed = rng.uniform(-2.5, 2.5, (count, 2))

    def shoot(place):
        distance = (rows - place[:, 0, None, None]) ** 2 + (columns - place[:, 1, None, None]) ** 2
        frame = 60 + 140 * np.exp(-distance / 5) + rng.normal(0, 4, (count, SIDE, SIDE))
        return frame.clip(0, 255).astype(np.uint8)

    return shoot(start), shoot(start + speed), speed


def to_features(earlier, later):
    change = later - earlier  #! change = later.astype(np.float32) - earlier.astype(np.float32)
    bright = later.astype(np.float32) - 75
    stacked = np.stack([change.astype(np.float32), bright], 1) / 35.0  #@
    return torch.from_numpy(stacked).flatten(1)


def r2(prediction, truth):
    return 1 - ((prediction - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()


def build_model():
    return torch.nn.Sequential(
        torch.nn.Linear(2 * SIDE * SIDE, 96),
        torch.nn.SiLU(),
        torch.nn.Linear(96, 48),
        torch.nn.SiLU(),
        torch.nn.Linear(48, 2),
    )


def main():
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    earlier, later, speed = record(2400, rng)
    x, y = to_features(earlier, later), torch.from_numpy(speed).float()
    order = torch.randperm(len(x))
    train, val = order[:1900], order[1900:]
    model = build_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    steps = 300
    for step in range(steps):
        batch = train[torch.randint(len(train), (128,))]
        loss = torch.nn.functional.smooth_l1_loss(model(x[batch]), y[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % 50 == 49:
            with torch.no_grad():
                print(f"step {step + 1}: loss {loss.item():.4f}, val R2 {r2(model(x[val]), y[val]).item():.3f}")


if __name__ == "__main__":
    main()
