"""One step in slow motion: the table of layers, and where a step breaks."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from mlkit import models
from mlkit.debug.first_step import first_step

IMAGES = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 3


def test_every_call_is_a_row_with_its_shapes() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared, nn.Linear(4, 3))
    step = first_step(model, (torch.randn(5, 4), torch.arange(5) % 3))
    assert step.is_fine
    assert [(row.layer, row.kind, row.given, row.made, row.parameters) for row in step.rows] == [
        ("0", "Linear", ("5x4 float32",), ("5x4 float32",), 20),
        ("1", "ReLU", ("5x4 float32",), ("5x4 float32",), 0),
        ("0", "Linear", ("5x4 float32",), ("5x4 float32",), 20),
        ("3", "Linear", ("5x4 float32",), ("5x3 float32",), 15),
    ]
    assert step.batch == ("5x4 float32", "5 int64")
    expected = nn.functional.cross_entropy(model(torch.zeros(1, 4)), torch.zeros(1).long())
    assert 0 < step.loss < 5
    assert torch.isfinite(expected)


def test_the_layer_that_does_not_fit_and_what_would() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 5 * 5, 3))
    step = first_step(model, (IMAGES, LABELS))
    assert step.failure is not None
    assert (step.failure.stage, step.failure.layer) == ("forward", "3 (Linear)")
    assert step.failure.finding is not None
    assert "nn.Linear(144, 3)" in step.failure.finding.fix
    assert [row.made for row in step.rows][-1] == ()
    mended = nn.Sequential(*model[:3], nn.Linear(144, 3))
    assert first_step(mended, (IMAGES, LABELS)).is_fine


def test_a_loss_that_does_not_take_the_labels() -> None:
    step = first_step(nn.Linear(4, 3), (torch.randn(8, 4), LABELS.float()), nn.CrossEntropyLoss())
    assert step.failure is not None
    assert step.failure.stage == "loss"
    assert step.failure.finding is not None
    assert ".long()" in step.failure.finding.fix
    assert first_step(nn.Linear(4, 3), (torch.randn(8, 4), LABELS), nn.CrossEntropyLoss()).is_fine


class _Cut(nn.Module):
    def __init__(self, *, cut: bool) -> None:
        super().__init__()
        self.body, self.head, self.spare, self.cut = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(1, 1), cut

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.body(x))
        return output.detach() if self.cut else output


def test_a_cut_graph_breaks_in_backward_and_a_spare_layer_gets_no_gradient() -> None:
    batch = (torch.randn(8, 4), LABELS)
    broken = first_step(_Cut(cut=True), batch)
    assert broken.failure is not None
    assert broken.failure.stage == "backward"
    whole = first_step(_Cut(cut=False), batch)
    assert whole.is_fine
    assert whole.without_gradient == ("spare.weight", "spare.bias")


class _Stubborn(torch.optim.SGD):
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        raise ValueError("no step today")


def test_an_optimiser_that_fails_is_told() -> None:
    step = first_step(
        nn.Linear(4, 3), (torch.randn(8, 4), LABELS), optimizer=lambda m: _Stubborn(m.parameters(), lr=0.1)
    )
    assert step.failure is not None
    assert (step.failure.stage, step.failure.message) == ("step", "ValueError: no step today")


def test_nothing_is_changed() -> None:
    model = models.resnet20(num_classes=3, in_channels=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before, stream = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    model.eval()
    first_step(model, (IMAGES, LABELS), optimizer=optimizer)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)
    assert not model.training
    assert not optimizer.state
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_more_classes_than_the_batch_shows_are_no_mistake() -> None:
    assert first_step(models.lenet(num_classes=10, in_channels=1, image_size=8), (IMAGES, LABELS)).is_fine


@pytest.mark.parametrize("most", [6, 24, 60])
def test_the_text_has_at_most_80_columns_and_the_asked_rows(most: int) -> None:
    step = first_step(models.resnet18(num_classes=3, in_channels=1), (IMAGES, LABELS))
    text = step.text(most=most)
    table = text.split("\n\n")[1].splitlines()[2:]
    assert len(table) == min(most, len(step.rows))
    assert "conv1" in table[0]
    assert "fc" in table[-1]
    assert max(map(len, text.splitlines())) <= 80
    assert "layer4.1.conv2" in step._repr_html_()
