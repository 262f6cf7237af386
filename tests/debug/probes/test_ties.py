"""The probe `ties` sees equal random weights of two layers, also transposed; not equal constants."""

import torch
from torch import Tensor, nn

from tests.debug.live import observed


class Auto(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(4, 6)
        with torch.no_grad():
            if how == "transposed":
                self.decoder.weight.copy_(self.encoder.weight.t())
            elif how == "constant":
                self.encoder.weight.zero_()
                self.decoder.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.tanh(self.encoder(x)))


def pairs(how: str) -> object:
    def program() -> None:
        model, x = Auto(how), torch.randn(8, 6)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        (model(x) - x).square().mean().backward()
        optimizer.step()

    return observed(program, "ties").probe("train/ties").get("pairs")


def test_transposed_copies_and_nothing_else() -> None:
    [pair] = pairs("transposed")  # type: ignore[misc]
    assert pair["names"] == ("Auto.encoder.weight", "Auto.decoder.weight")
    assert pair["transposed"]
    assert "copy_" in pair["site"].source
    assert pairs("constant") is None
    assert pairs("apart") is None
