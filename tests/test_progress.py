from __future__ import annotations

import inspect
import io

import pytest
import torch
from torch import nn

import mlkit
from mlkit.engine.fit import fit as silent
from mlkit.tracking import Console

X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
DATA = (X, (X[:, 0] > 0).long())


def test_progress_is_shown_by_the_top_level_function_alone(capsys: pytest.CaptureFixture[str]) -> None:
    silent(nn.Linear(3, 2), DATA, max_epochs=2, device="cpu")
    assert capsys.readouterr().out == ""
    mlkit.fit(nn.Linear(3, 2), DATA, max_epochs=2, device="cpu")
    assert "2/2" in capsys.readouterr().out


def test_a_console_of_ones_own_is_not_doubled(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    mlkit.fit(nn.Linear(3, 2), DATA, max_epochs=1, device="cpu", hooks=[Console(file=file)])
    assert "1/1" in file.getvalue()
    assert capsys.readouterr().out == ""


def test_name_help_and_arguments_are_the_engines() -> None:
    assert inspect.signature(mlkit.fit) == inspect.signature(silent)
    assert mlkit.fit.__doc__ == silent.__doc__
