"""What the probes of step dynamics measure on live programs: chance, penalties, reductions, targets of its own.

Not here: what is concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mlkit.debug import experiment
from tests.debug.live import Net, batch, observed

pytestmark = pytest.mark.skipif(experiment.obstacle() is not None, reason="no child can be forked here")

Loss = Callable[[Net, Tensor, Tensor], Tensor]


def measured(loss_of: Loss, name: str) -> Mapping[str, object]:
    def program() -> None:
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(2):
            x, y = batch(96)
            optimizer.zero_grad()
            loss_of(net, x, y).backward()
            optimizer.step()

    return observed(program, name).probe(f"train/{name}")


def written(net: Net, x: Tensor, y: Tensor) -> Tensor:
    return -net(x).log_softmax(1)[torch.arange(len(y)), y].mean()


def squared(net: Net, x: Tensor, y: Tensor) -> Tensor:
    return ((net(x)[:, 0] - (3 * x[:, 1] + 100)) ** 2).mean()


def penalised(net: Net, x: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(net(x), y) + 7.0 * sum(one.square().sum() for one in net.parameters())


@pytest.mark.parametrize("loss_of", [lambda net, x, y: F.cross_entropy(net(x), y), written, penalised])
def test_chance_is_the_entropy_of_the_labels_however_the_loss_is_written(loss_of: Loss) -> None:
    chance = measured(loss_of, "chance")["chance"]
    assert isinstance(chance, float)
    assert abs(chance - math.log(3)) < 0.05


def test_chance_of_a_squared_error_is_the_variance_of_the_targets() -> None:
    chance = measured(squared, "chance")["chance"]
    assert isinstance(chance, float)
    assert 5 < chance < 14


def test_a_penalty_is_what_depends_on_the_parameters_alone() -> None:
    told = measured(penalised, "penalty")
    assert isinstance(told["ratio"], float)
    assert told["ratio"] > 10
    assert isinstance(told["data"], float)
    assert 0.5 < told["data"] < 2
    assert measured(lambda net, x, y: F.cross_entropy(net(x), y) + 0.1 * net(x).square().mean(), "penalty") == {}


@pytest.mark.parametrize(
    ("loss_of", "weight"),
    [
        (written, 1),
        (lambda net, x, y: F.cross_entropy(net(x), y, reduction="sum"), 96),
        (lambda net, x, y: F.cross_entropy(net(x), y) / 4, 0.25),
        (lambda net, x, y: F.cross_entropy(net(x), y, reduction="sum") / len(y), 1),
        (lambda net, x, y: (net(x) - 1).square().sum(1).mean(), 1),
    ],
)
def test_the_weight_of_a_batch(loss_of: Loss, weight: float) -> None:
    told = measured(loss_of, "reduction")["weight"]
    assert isinstance(told, float)
    assert abs(told) == pytest.approx(weight, rel=1e-4)


def policy(net: Net, x: Tensor, y: Tensor) -> Tensor:
    draw = torch.distributions.Categorical(logits=net(x))
    action = draw.sample()
    return -(draw.log_prob(action) * (action == y).float()).mean()


def bootstrapped(net: Net, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        wanted = 1 + 0.9 * net(x + 0.1).max(1).values
    return F.mse_loss(net(x)[:, 0], wanted)


def advantages(net: Net, x: Tensor, y: Tensor) -> Tensor:
    return -(net(x).log_softmax(1)[torch.arange(len(y)), y] * (x[:, 0] - x[:, 0].mean())).mean()


def test_losses_whose_height_means_nothing() -> None:
    assert measured(policy, "own_targets").get("samples")
    assert measured(bootstrapped, "own_targets").get("moving")
    assert measured(advantages, "own_targets").get("weighs")
    assert measured(written, "own_targets") == {}
