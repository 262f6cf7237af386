"""`model.vanishing-gradient`: deep sigmoids whose loss does not fall; nothing where it falls, or with residuals."""

import torch
from torch import Tensor, nn

from mlkit.debug.facts import Facts
from mlkit.debug.rules.vanishing_gradient import check
from tests.debug.live import STEPS, batch, observed


class Deep(nn.Module):
    def __init__(self, *, residual: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(10))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + torch.relu(layer(x)) if self.residual else torch.sigmoid(layer(x))
        return x


def measured(*, residual: bool) -> Facts:
    def program() -> None:
        model = Deep(residual=residual)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            x, y = batch()
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

    return observed(program, "gradient_decay")


def test_only_a_loss_that_does_not_fall_makes_it_a_finding() -> None:
    facts = measured(residual=False)
    facts.losses = [(step, 2.08 + 0.001 * (step % 3)) for step in range(60)]
    [finding] = check(facts)
    assert finding.severity == "error"
    assert finding.site is not None
    assert "torch.sigmoid" in finding.site.source
    facts.losses = [(step, 2.08 * 0.95**step) for step in range(60)]
    assert not list(check(facts))


def test_residual_blocks_keep_the_gradient() -> None:
    facts = measured(residual=True)
    facts.losses = [(step, 2.08 + 0.001 * (step % 3)) for step in range(60)]
    assert not list(check(facts))
