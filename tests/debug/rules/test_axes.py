"""Samples that are mixed, torn layouts and softmaxes over the wrong axis, and what only looks like them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.probes.layout import torn_axes
from tests.debug.live import STEPS, found, source


class _Model(nn.Module):
    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor], *, batch_first: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 6, batch_first=batch_first)
        self.norm, self.score, self.head = nn.BatchNorm1d(6), nn.Linear(6, 1), nn.Linear(6, 3)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def _program(model: nn.Module) -> Callable[[], None]:
    def run() -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            x, y = torch.randn(8, 7, 5), torch.randint(3, (8,))
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def _codes(model: nn.Module) -> list[str]:
    return [
        one.code
        for code in ("shape.samples-mixed", "shape.batch-first")
        for one in found(_program(model), code, "independence")
    ]


def test_a_recurrent_layer_that_takes_the_batch_for_time_is_told_from_one_that_does_not() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])

    assert _codes(_Model(forward, batch_first=False)) == ["shape.batch-first"]
    assert _codes(_Model(forward)) == []


def test_a_time_first_model_that_transposes_by_itself_is_healthy() -> None:
    model = _Model(lambda self, x: self.head(self.lstm(x.transpose(0, 1))[0][-1]), batch_first=False)
    assert _codes(model) == []


def test_a_mean_over_the_batch_is_found_at_its_line_and_batchnorm_is_healthy() -> None:
    def mixing(self: nn.Module, x: Tensor) -> Tensor:
        h = self.lstm(x)[0][:, -1]
        h = h - h.mean(0)  # mixes
        return self.head(h)

    findings = found(_program(_Model(mixing)), "shape.samples-mixed", "independence")
    assert "mixes" in source(findings[0])
    assert _codes(_Model(lambda self, x: self.head(self.norm(self.lstm(x)[0][:, -1])))) == []


def test_an_attention_over_an_axis_of_one_is_constant() -> None:
    def pooled(axis: int) -> nn.Module:
        return _Model(lambda self, x: self.head((self.score(h := self.lstm(x)[0]).softmax(axis) * h).sum(1)))

    code = "shape.constant-attention"
    assert [one.severity for one in found(_program(pooled(2)), code, "softmax-axes")] == ["error"]
    assert found(_program(pooled(1)), code, "softmax-axes") == []


@pytest.mark.parametrize(("axis", "expected"), [(-1, []), (1, ["warning"])])
def test_attention_is_normalised_over_the_axis_that_is_summed(axis: int, expected: list[str]) -> None:
    def attend(self: nn.Module, x: Tensor) -> Tensor:
        h = self.lstm(x)[0]
        weights = (h @ h.transpose(1, 2)).softmax(axis)
        return self.head((weights @ h).mean(1))

    assert [one.severity for one in found(_program(_Model(attend)), "shape.softmax-axis", "softmax-axes")] == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((8, 16, 12, 3), (8, 3, 16, 12), "permuted"),
        ((5, 7, 6), (7, 30), "straddling"),
        ((8, 16, 12, 3), (8, 16 * 12 * 3), None),
        ((8, 48), (8, 12, 4), None),
        ((8, 10, 4 * 6), (8 * 10, 4, 6), None),  # merge of two axes and split of another
        ((8, 12, 5), (8, 4, 15), None),  # frames stacked by three
        ((8, 1, 12), (8, 12, 1), None),
        ((6, 6), (6, 6), None),
    ],
)
def test_a_reshape_that_tears_axes_is_told_from_splits_and_merges(
    before: tuple[int, ...], after: tuple[int, ...], expected: str | None
) -> None:
    assert torn_axes(before, after) == expected


class Cloud(nn.Module):
    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis, self.each, self.out = axis, nn.Linear(3, 16), nn.Linear(16, 4)

    def forward(self, points: Tensor) -> Tensor:
        return self.out(torch.relu(self.each(points)).amax(self.axis))


@pytest.mark.parametrize(("axis", "expected"), [(0, 1), (1, 0)])
def test_a_maximum_over_the_batch_where_batch_and_points_are_as_many(axis: int, expected: int) -> None:
    def program() -> None:
        model = Cloud(axis)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(STEPS):
            loss = nn.functional.cross_entropy(model(torch.randn(16, 16, 3)), torch.randint(4, (16,)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    assert len(found(program, "shape.samples-mixed", "independence", "heads")) == expected
