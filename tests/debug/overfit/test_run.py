from __future__ import annotations

import copy
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mlkit
from mlkit.data.splits import Batch
from mlkit.debug.overfit import overfit_batch, prove
from mlkit.debug.overfit.choose import balanced
from mlkit.errors import ConfigError, DataError, ModelError
from tests.debug.overfit.cases import cases


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))


def batch(rows: int = 24) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(1)), torch.arange(rows) % 3


def a_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    x, y = batch()
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()


def test_nothing_that_is_given_is_changed_and_the_next_step_is_bit_identical() -> None:
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    a_step(model, optimizer)
    twin, other = copy.deepcopy((model, optimizer))
    model.eval()
    x, y = batch()
    kept, python = (x.clone(), y.clone()), np.random.get_state()[1].copy()
    streams = torch.get_rng_state()
    assert overfit_batch(model, (x, y), F.cross_entropy, optimizer).is_fine
    assert torch.equal(torch.get_rng_state(), streams)
    assert (np.random.get_state()[1] == python).all()
    assert torch.equal(x, kept[0])
    assert torch.equal(y, kept[1])
    assert not any(module.training for module in model.modules())
    model.train()
    for one, opt in ((model, optimizer), (twin, other)):
        torch.manual_seed(3)
        a_step(one, opt)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))


def test_the_same_call_gives_the_same_report() -> None:
    first, second = (
        overfit_batch(small(), batch(), optimizer=lambda m: torch.optim.Adam(m.parameters(), 0.01)) for _ in range(2)
    )
    assert first.course.losses == second.course.losses
    assert first.fingerprint == second.fingerprint


def test_a_bundle_gives_a_balanced_batch_and_the_loss_of_its_task() -> None:
    data = mlkit.data.load("digits")
    report = overfit_batch(
        mlkit.models.mlp(64, 10, seed=0), data, optimizer=lambda m: torch.optim.Adam(m.parameters(), 0.01)
    )
    assert report.examples == 64
    assert report.stick is not None
    assert max(report.stick.shares) - min(report.stick.shares) <= 1 / 64 + 1e-9
    assert report.is_fine


@pytest.mark.parametrize("form", ["pair", "loader", "dataset", "mapping", "batch"])
def test_whatever_training_is_given_gives_a_batch(form: str) -> None:
    x, y = batch()
    data = torch.utils.data.TensorDataset(x, y)
    forms: dict[str, Callable[[], object]] = {
        "pair": lambda: (x, y),
        "loader": lambda: torch.utils.data.DataLoader(data, batch_size=12),
        "dataset": lambda: data,
        "mapping": lambda: ({"input": x}, y),
        "batch": lambda: Batch((x,), y),
    }
    report = overfit_batch(
        nn.Linear(6, 3), forms[form](), F.cross_entropy, lambda m: torch.optim.Adam(m.parameters(), 0.1)
    )
    assert report.examples == (12 if form == "loader" else 24)


def test_inputs_that_are_not_read_are_told() -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(torch.zeros_like(x))
            return out

    report = overfit_batch(Blind(), batch(), F.cross_entropy, lambda m: torch.optim.Adam(m.parameters(), 0.05))
    assert report.symptom == "plateaus"
    assert report.verdict.height is not None
    assert any("do not reach the output" in note for note in report.notes)


def test_a_model_that_writes_into_its_inputs_is_told_and_cannot_spoil_the_batch() -> None:
    class Greedy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x.mul_(0.5))
            return out

    report = overfit_batch(
        Greedy(), batch(), F.cross_entropy, lambda m: torch.optim.Adam(m.parameters(), 0.5), steps=40
    )
    assert report.course.touched == 1
    assert any("in place" in note for note in report.notes)


def test_the_first_bad_module_of_an_explosion_is_named() -> None:
    class Overflowing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (1000 * x).exp()

    model = nn.Sequential(nn.Linear(6, 3), Overflowing())
    report = overfit_batch(model, batch(), F.cross_entropy)
    assert report.symptom == "explodes"
    assert report.course.bad_module == "1 (Overflowing)"
    assert "1 (Overflowing)" in str(report)


def test_loss_alone_is_judged_where_no_output_matches_the_targets() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.inner(x).square().sum()
            return out

    report = overfit_batch(
        Pair(), batch(), lambda output, targets: output, lambda m: torch.optim.Adam(m.parameters(), 0.1)
    )
    assert report.stick is None
    assert report.is_fine
    assert "only the loss is judged" in str(report)


def test_a_fall_under_dropout_is_slow_and_no_oscillation() -> None:
    def adam(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=3e-5)

    assert overfit_batch(small(), batch(), F.cross_entropy, adam).symptom == "slow"


def test_a_batch_on_its_way_is_given_more_steps() -> None:
    report = overfit_batch(small(), batch(), F.cross_entropy, steps=300)  # Adam at 3e-4 needs more
    assert report.symptom == "overfits"
    assert 300 < len(report.course.losses) <= 1800
    assert overfit_batch(small(), batch(), F.cross_entropy, steps=20).symptom != "overfits"  # not at this pace


class _LogSoftmaxOverExamples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 3), nn.LogSoftmax(0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


def test_what_holds_only_in_company_is_a_gap() -> None:
    model = _LogSoftmaxOverExamples()
    report = overfit_batch(model, batch(), F.nll_loss, lambda m: torch.optim.Adam(m.parameters(), lr=1e-2))
    assert report.symptom == "train-eval-gap", str(report)
    assert report.course.lost_alone > 0.5
    assert "depends on the other examples" in report.verdict.because


def test_a_mistake_that_one_batch_does_not_show_is_told() -> None:
    sick = next(case.sick for case in cases(0) if case.code == "L04")  # kl_div of probabilities
    report = prove(sick.model, sick.batch, sick.loss_fn, sick.optimizer, seconds=20)
    assert report.overfit.is_fine
    assert not report.is_fine
    assert [finding.code for finding in report.findings] == ["loss.wrong-space-into-kl"]
    assert "fitted all the same" in str(report)
    assert "wrong-space-into-kl" in report._repr_html_()


def test_the_report_reads_at_80_columns_and_survives_json() -> None:
    report = overfit_batch(small(), batch(), F.cross_entropy)
    assert max(map(len, str(report).splitlines())) <= 80
    assert json.loads(json.dumps(report.to_dict()))["symptom"] == report.symptom
    assert "<svg" in report._repr_html_()


def test_a_balanced_choice_takes_every_class_before_any_twice() -> None:
    targets = torch.cat([torch.zeros(500, dtype=torch.int64), torch.arange(1, 10)])
    chosen = targets[balanced(targets, 20, seed=0)]
    assert chosen.unique().numel() == 10
    assert (chosen == 0).sum() == 11
    assert len(set(balanced(targets, 20, seed=0).tolist())) == 20


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="none of the model's parameters"):
        overfit_batch(small(), batch(), optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1))
    with pytest.raises(DataError, match="no examples"):
        overfit_batch(small(), (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64)))
    model = small()
    model.gate = torch.ones(1, requires_grad=True) * 2  # not a leaf: deepcopy refuses it
    with pytest.raises(ModelError, match="cannot be copied"):
        overfit_batch(model, batch())
