"""What `prove` tries, in which order, and what it says of it."""

from __future__ import annotations

import json
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mlkit.debug.overfit import prove
from mlkit.debug.overfit.cause import CauseReport
from mlkit.debug.overfit.changes import Change, changes_for
from mlkit.debug.overfit.course import Setup
from mlkit.debug.overfit.run import prepared, stick_of


def softmaxed() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3), nn.Softmax(1))


def batch(rows: int = 24) -> tuple[Tensor, Tensor]:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(1)), torch.arange(rows) % 3


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-2)


def slow(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-6)


@pytest.fixture(scope="module")
def report() -> CauseReport:
    return prove(softmaxed(), batch(), F.cross_entropy, adam, seconds=30)


def test_what_a_rule_proves_is_tried_first_and_told(report: CauseReport) -> None:
    assert report.findings[0].code == "loss.probabilities-into-cross-entropy"
    assert report.trials[0].change.name == "the output without Softmax"
    assert report.cure is not None
    assert report.cure.change is report.trials[0].change


def test_the_effect_is_a_difference_with_an_interval() -> None:
    found = prove(
        nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)), batch(), F.cross_entropy, slow, seconds=30
    )
    assert found.cure is not None
    assert found.cure.change.override is not None
    assert re.fullmatch(r"optimizer\.lr=\S+", found.cure.change.override) or "adam" in found.cure.change.override
    effect = found.cure.effect
    assert effect is not None
    assert effect.low is not None
    assert effect.high is not None
    assert -1 <= effect.low <= effect.value <= 1.0
    assert effect.value > 0.5


def test_changes_are_tried_smallest_first_after_what_is_proven(report: CauseReport) -> None:
    sizes = [
        trial.change.size for trial in report.trials if not trial.change.name.startswith(("the output", "the usual"))
    ]
    assert sizes == sorted(sizes)


def test_ending_with_the_cure_gives_the_same_cure(report: CauseReport) -> None:
    short = prove(softmaxed(), batch(), F.cross_entropy, adam, seconds=30, thorough=False)
    assert short.cure is not None
    assert report.cure is not None
    assert short.cure.change.name == report.cure.change.name
    assert len(short.trials) == 1 < len(report.trials)


def test_a_fitted_batch_without_findings_is_not_experimented_on() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    found = prove(model, batch(), F.cross_entropy, adam)
    assert found.is_fine
    assert found.trials == ()
    assert found.cure is None


def test_a_change_of_ones_own_comes_before_others_of_its_size() -> None:
    def twice(setup: Setup) -> Setup:
        twin = setup.copied()
        twin.optimizer.param_groups[0]["lr"] = 0.5
        return twin

    mine = Change("half a unit a step", 1, "the steps are too short", "lr=0.5", twice)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    found = prove(model, batch(), F.cross_entropy, slow, seconds=30, more=[mine], thorough=False)
    assert found.trials[0].change is mine or found.findings
    assert found.cure is not None
    assert found.cure.change is mine


def test_time_that_is_over_is_told_and_not_hidden() -> None:
    found = prove(softmaxed(), batch(), F.cross_entropy, slow, seconds=0.05)
    missing = [trial for trial in found.trials if trial.problem is not None and "time was over" in trial.problem]
    assert missing
    assert f"{len(missing)} more were not tried" in str(found)
    if found.cure is None:
        assert "no change cures" not in str(found)
        assert f"{len(found.trials) - len(missing)} of {len(found.trials)} changes were tried" in " ".join(
            str(found).split()
        )


def test_a_change_that_does_not_fit_the_model_is_no_cure_and_says_why() -> None:
    def broken(setup: Setup) -> Setup:
        raise RuntimeError("no such layer")

    found = prove(softmaxed(), batch(), F.cross_entropy, slow, seconds=20, more=[Change("broken", 1, "c", "f", broken)])
    trial = next(one for one in found.trials if one.change.name == "broken")
    assert not trial.cures
    assert trial.problem == "RuntimeError: no such layer"


def test_the_report_reads_at_80_columns_as_json_and_as_a_page(report: CauseReport) -> None:
    assert max(map(len, str(report).splitlines())) <= 80
    content = json.loads(json.dumps(report.to_dict()))
    assert content["cure"]["change"] == "the output without Softmax"
    assert len(content["trials"]) == len(report.trials)
    page = report._repr_html_()
    assert page.count("<svg") == 2
    assert "the smallest change that cures: the output without Softmax" in page
    assert len(re.findall(r"<tr><td>✓?</td>", page)) == len(report.trials)


def test_only_what_makes_a_difference_is_tried() -> None:
    plain = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    setup = prepared(plain, batch(), F.cross_entropy, adam, seed=0)
    names = {change.name for change in changes_for(setup, stick_of(setup))}
    for absent in ("no dropout", "no weight decay", "normalisers as in evaluation", "float32", "standardised inputs",
                   "all parameters trained", "Adam at 1e-3", "a ReLU between dense layers"):  # fmt: skip
        assert absent not in names
    sick = nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.Dropout(0.9), nn.Linear(32, 3))
    sick[0].requires_grad_(False)
    x, y = batch()
    decay = prepared(
        sick, (1e4 * x, y), F.cross_entropy, lambda m: torch.optim.SGD(m.parameters(), 0.1, weight_decay=1.0), seed=0
    )
    names = {change.name for change in changes_for(decay, stick_of(decay))}
    for present in ("no dropout", "no weight decay", "normalisers as in evaluation", "standardised inputs",
                    "all parameters trained", "Adam at 1e-3", "a ReLU between dense layers"):  # fmt: skip
        assert present in names


@pytest.mark.parametrize("high", [255.0, 2.0])
def test_targets_of_two_values_are_made_0_and_1(high: float) -> None:
    x, _ = batch()
    yes = high * (x[:, :1] > 0).float()
    setup = prepared(nn.Linear(6, 1), (x, yes), F.binary_cross_entropy_with_logits, adam, seed=0)
    change = next(one for one in changes_for(setup, stick_of(setup)) if one.name == "targets of 0 and 1")
    assert torch.equal(change.edit(setup).batch.targets, (yes > 0).float())
    assert torch.equal(setup.batch.targets, yes)
