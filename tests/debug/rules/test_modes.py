"""The rules on training and evaluation mode, on tiny programs and their healthy look-alikes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.debug.live import batch, found, source


def _program(
    model: nn.Module, *, before_step: Callable[[int], object] = lambda step: None, size: int = 16
) -> Callable[[], None]:
    def run() -> None:
        optimizer = torch.optim.SGD([one for one in model.parameters() if one.requires_grad], lr=0.1)
        for step in range(8):
            before_step(step)
            x, y = batch(size)
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def _dropping() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


def test_training_that_goes_on_in_evaluation_mode_is_an_error_at_the_eval_call() -> None:
    model = _dropping()

    def validate(step: int) -> None:
        if step == 4:
            model.eval()  # validate

    findings = found(_program(model, before_step=validate), "mode.training-in-eval")
    assert [one.severity for one in findings] == ["error"]
    assert source(findings[0]).startswith("model.eval()")
    assert findings[0].evidence["steps in evaluation mode"] == 4


def test_a_model_without_dropout_and_batchnorm_may_be_in_any_mode() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.0), nn.Linear(16, 3))

    def validate(step: int) -> None:
        if step == 4:
            model.eval()

    assert found(_program(model, before_step=validate), "mode.training-in-eval") == []


def _validating(model: nn.Module, *, evaluate: bool) -> Callable[[int], None]:
    def validate(step: int) -> None:
        if step in (4, 6):
            model.train(not evaluate)
            with torch.no_grad():
                for _ in range(2):
                    model(batch()[0])
            model.train()

    return validate


def test_validation_in_training_mode_is_an_error_and_in_evaluation_mode_is_not() -> None:
    model = _dropping()
    program = _program(model, before_step=_validating(model, evaluate=False))
    assert [one.severity for one in found(program, "mode.evaluating-in-train")] == ["error"]
    model = _dropping()
    program = _program(model, before_step=_validating(model, evaluate=True))
    assert found(program, "mode.evaluating-in-train") == []


class _Functional(nn.Module):
    def __init__(self, drop: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(8, 16), nn.Linear(16, 3), drop

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.drop(self, F.relu(self.first(x))))


def test_functional_dropout_that_is_not_told_the_mode_is_an_error() -> None:
    program = _program(_Functional(lambda self, h: F.dropout(h, 0.3)))
    findings = found(program, "mode.dropout-always-on", "determinism")
    assert [one.severity for one in findings] == ["error"]
    assert "F.dropout(h, 0.3)" in source(findings[0])


def test_dropout_that_is_told_the_mode_and_noise_by_design_are_left_alone() -> None:
    told = _program(_Functional(lambda self, h: F.dropout(h, 0.3, training=self.training)))
    assert found(told, "mode.dropout-always-on", "determinism") == []
    meant = _program(_Functional(lambda self, h: F.dropout(h, 0.3, training=True)))
    assert found(meant, "mode.dropout-always-on", "determinism") == []
    noise = _program(_Functional(lambda self, h: h + torch.randn_like(h)))
    assert found(noise, "mode.dropout-always-on", "determinism") == []


def test_batchnorm_on_batches_of_two_is_a_warning_and_on_sixteen_is_not() -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))

    code = "mode.batchnorm-tiny-batch"
    assert [one.severity for one in found(_program(model(), size=2), code, "mode-modules")] == ["warning"]
    assert found(_program(model(), size=16), code, "mode-modules") == []


def test_a_frozen_norm_in_training_mode_drifts_and_in_evaluation_mode_does_not() -> None:
    def frozen() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
        model[:2].requires_grad_(False)
        return model

    code = "mode.frozen-statistics-drift"
    assert [one.severity for one in found(_program(frozen()), code, "mode-modules")] == ["error"]
    still = frozen()
    still[1].eval()
    assert found(_program(still), code, "mode-modules") == []
    trained = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    assert found(_program(trained), code, "mode-modules") == []


def test_a_drop_rate_that_looks_like_a_keep_rate_is_a_warning() -> None:
    def model(rate: float) -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(rate), nn.Linear(16, 3))

    assert [one.severity for one in found(_program(model(0.9)), "mode.dropout-too-high", "mode-modules")] == ["warning"]
    assert found(_program(model(0.5)), "mode.dropout-too-high", "mode-modules") == []


def test_a_setting_that_evaluation_changes_for_good_is_an_error_at_its_line() -> None:
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.p, self.calls = nn.Linear(8, 3), 0.3, 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1  # counts in every mode: not stuck
            if not self.training:
                self.p = 0.0  # stays
            return F.dropout(self.layer(x), self.p)

    findings = found(_program(Locked()), "mode.sticky", "mode-round-trip")
    assert [one.severity for one in findings] == ["error"]
    assert "stays" in source(findings[0])
    assert found(_program(_dropping()), "mode.sticky", "mode-round-trip") == []
