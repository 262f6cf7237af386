"""Letters of sign language from hand landmarks; the network is to be tiny for a wristwatch."""
# case: G10
# codes: model.too-small
# split: fresh
import torch
from torch import nn

SEED = 0
LANDMARKS, LETTERS = 21, 12


class HandNet(nn.Module):
    def __init__(self, code=1):  #! def __init__(self, code=16):
        super().__init__()
        self.squeeze = nn.Linear(2 * LANDMARKS, code)  #@
        self.read = nn.Sequential(nn.Tanh(), nn.Linear(code, LETTERS))

    def forward(self, hand):
        return self.read(self.squeeze(hand.flatten(1)))


def hands(n, shape):
    letter = torch.randint(0, LETTERS, (n,))
    return shape[letter] + 0.8 * torch.randn(n, LANDMARKS, 2), letter


def main():
    torch.manual_seed(SEED)
    shape = torch.randn(LETTERS, LANDMARKS, 2)
    hand, letter = hands(1200, shape)
    hand_t, letter_t = hands(400, shape)
    net = HandNet()
    opt = torch.optim.Adam(net.parameters(), lr=1e-2)
    for epoch in range(1, 25):
        for i in torch.randperm(1200).split(60):
            loss = nn.functional.cross_entropy(net(hand[i]), letter[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 4 == 0:
            with torch.no_grad():
                print(f"epoch {epoch}: loss {loss.item():.3f}, letters right {(net(hand_t).argmax(1) == letter_t).float().mean():.3f}")


main()
