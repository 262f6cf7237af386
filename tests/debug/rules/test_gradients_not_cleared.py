"""`step.gradients-not-cleared` is found however the update is written, and quiet however gradients are cleared."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.debug.live import STEPS, Net, batch, found, source

CODE = "step.gradients-not-cleared"


def train(clear: str, *, every: int = 1) -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(STEPS * every):
        x, y = batch()
        if clear == "module":
            model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        if step % every == every - 1:
            optimizer.step()
            for parameter in model.parameters():
                if clear == "none":
                    parameter.grad = None
                elif clear == "zero" and parameter.grad is not None:
                    parameter.grad.zero_()


def by_hand(*, clear: bool) -> None:
    weight = torch.randn(8, 3, requires_grad=True)
    for _ in range(STEPS):
        x, y = batch()
        F.cross_entropy(x @ weight, y).backward()
        with torch.no_grad():
            assert weight.grad is not None
            weight -= 0.1 * weight.grad
        if clear:
            weight.grad = None


def put_in_place() -> None:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(STEPS):
        x, y = batch()
        parameters = list(model.parameters())
        gradients = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()


def adversaries(*, clears_generator: bool) -> None:
    generator, critic = torch.nn.Linear(4, 8), torch.nn.Linear(8, 1)
    of_generator = torch.optim.SGD(generator.parameters(), lr=0.05)
    of_critic = torch.optim.SGD(critic.parameters(), lr=0.05)
    for _ in range(STEPS):
        fake: Tensor = generator(torch.randn(16, 4))
        of_critic.zero_grad()  # also of what the generator's loss left there
        (critic(fake.detach()).mean() - critic(batch()[0]).mean()).backward()
        of_critic.step()
        if clears_generator:
            of_generator.zero_grad()
        (-critic(fake).mean()).backward()
        of_generator.step()


@pytest.mark.parametrize(
    "program", [lambda: train("never"), lambda: train("never", every=2), lambda: by_hand(clear=False)]
)
def test_found_with_an_optimiser_with_accumulation_and_by_hand(program: Callable[[], None]) -> None:
    [finding] = found(program, CODE)
    assert finding.severity == "error"
    assert ".backward()" in source(finding)


@pytest.mark.parametrize("clear", ["module", "none", "zero"])
def test_every_way_of_clearing_is_quiet(clear: str) -> None:
    assert not found(lambda: train(clear), CODE)


def test_look_alikes_are_quiet() -> None:
    assert not found(put_in_place, CODE)
    assert not found(lambda: by_hand(clear=True), CODE)
    assert not found(lambda: adversaries(clears_generator=True), CODE)


def test_the_right_one_of_two_optimisers() -> None:
    [finding] = found(lambda: adversaries(clears_generator=False), CODE)
    assert "-critic(fake)" in source(finding)
