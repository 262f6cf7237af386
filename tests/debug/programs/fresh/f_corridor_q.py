"""Deep Q-learning in a corridor of twelve cells with a prize on the right and a smaller one on the left.

Planted: the target also adds the value of the next state where the episode has ended, so values grow without need and
the order of the two prizes is lost.
"""
# case: unlisted
# codes: none-listed
# split: fresh
import copy
import random
from collections import deque

import torch
from torch import nn

SEED = 0
CELLS, GAMMA = 12, 0.95


def step(cell, action):
    cell += 1 if action else -1
    if cell == CELLS - 1:
        return cell, 1.0, True
    if cell == 0:
        return cell, 0.2, True
    return cell, 0.0, False


def see(cells):
    return nn.functional.one_hot(torch.tensor(cells), CELLS).float()


def run():
    random.seed(SEED)
    torch.manual_seed(SEED)
    q = nn.Sequential(nn.Linear(CELLS, 32), nn.ReLU(), nn.Linear(32, 2))
    target = copy.deepcopy(q)
    opt = torch.optim.Adam(q.parameters(), lr=3e-3)
    memory = deque(maxlen=2000)
    cell, moves = 4, 0
    for t in range(1, 2401):
        with torch.no_grad():
            action = random.randrange(2) if random.random() < 0.4 else int(q(see([cell])).argmax())
        nxt, reward, done = step(cell, action)
        memory.append((cell, action, reward, nxt, done))
        moves += 1
        if done or moves > 40:
            cell, moves = random.randrange(1, CELLS - 1), 0
        else:
            cell = nxt
        if t > 100:
            s, a, r, s2, end = map(list, zip(*random.sample(memory, 48)))
            with torch.no_grad():
                ahead = target(see(s2)).max(1).values
                goal = torch.tensor(r) + GAMMA * ahead  #! goal = torch.tensor(r) + GAMMA * ahead * (1 - torch.tensor(end).float())
            loss = nn.functional.smooth_l1_loss(q(see(s))[torch.arange(48), a], goal)  #@
            opt.zero_grad()
            loss.backward()
            opt.step()
        if t % 50 == 0:
            target.load_state_dict(q.state_dict())
        if t % 600 == 0:
            with torch.no_grad():
                value = q(see(list(range(1, CELLS - 1)))).max(1).values
            best = torch.tensor([max(GAMMA ** (CELLS - 2 - c), 0.2 * GAMMA ** (c - 1)) for c in range(1, CELLS - 1)])
            print(f"move {t}: loss {loss.item():.5f}, mean value {value.mean():.3f} (true {best.mean():.3f}), error {(value - best).abs().mean():.3f}")


run()
