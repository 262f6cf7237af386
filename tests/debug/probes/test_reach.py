"""The probe `reach` agrees with what backward does: reached keys get a gradient, cut ones do not."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.debug.live import Net, batch, observed


class Half(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)).detach())))


def test_reached_and_cut_are_those_with_and_without_a_gradient() -> None:
    model = Half()

    def program() -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            x, y = batch()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    facts = observed(program, "reach")
    names = {key: one.name.removeprefix("Half.") for key, one in facts.parameters.items()}
    result = facts.probe("train/reach")
    reached = {names[key] for key in result["reached"]}  # type: ignore[attr-defined]
    assert reached == {name for name, one in model.named_parameters() if one.grad is not None}
    [cut] = result["cuts"]  # type: ignore[misc]
    assert {names[key] for key in cut["keys"]} == {"first.weight", "first.bias"}
    assert cut["op"] == "detach"
