"""Clone an expert that walks a 9x9 grid towards its goal around a wall."""
# case: M06
# codes: mode.dropout-too-high
# split: rules

from collections import deque

import torch
from torch import nn

SEED = 0
SIZE = 9
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
WALL = {(r, 4) for r in range(2, 8)}
KEEP = 0.9


def expert():
    """Best move for every start and goal, by breadth-first search from the goal."""
    cells = [(r, c) for r in range(SIZE) for c in range(SIZE) if (r, c) not in WALL]
    for goal in cells:
        queue, move = deque([goal]), {goal: None}
        while queue:
            r, c = queue.popleft()
            for action, (dr, dc) in enumerate(MOVES):
                before = (r - dr, c - dc)
                if before in cells and before not in move:
                    move[before] = action
                    queue.append(before)
        for cell, action in move.items():
            if action is not None:
                yield (*cell, *goal), action


def encode(state):
    return nn.functional.one_hot(state, SIZE).float().flatten(1) * 2


class Policy(nn.Module):
    def __init__(self, hidden=96):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(4 * SIZE, hidden), nn.ReLU(), nn.Dropout(KEEP),  #! nn.Linear(4 * SIZE, hidden), nn.ReLU(), nn.Dropout(1 - KEEP),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(KEEP),  #! nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(1 - KEEP),
            nn.Linear(hidden, len(MOVES)),
        )

    def forward(self, state):
        return torch.log_softmax(self.net(encode(state)), dim=-1)


def main():
    torch.manual_seed(SEED)
    states, actions = (torch.tensor(column) for column in zip(*expert()))
    order = torch.randperm(len(states))
    train, test = order[:4400], order[4400:]
    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for epoch in range(10):
        policy.train()
        losses = []
        for rows in train[torch.randperm(len(train))].split(128):
            log_probs = policy(states[rows])
            loss = -log_probs.gather(1, actions[rows, None]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        policy.eval()
        with torch.no_grad():
            agree = (policy(states[test]).argmax(1) == actions[test]).float().mean().item()
        print(f"epoch {epoch + 1:2d} nll {sum(losses) / len(losses):.4f} agreement with the expert {agree:.3f}")


if __name__ == "__main__":
    main()
