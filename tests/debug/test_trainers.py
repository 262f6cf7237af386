"""The callbacks: a planted bug is found, at the user's line, in a real trainer; a sound program stays quiet."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.debug.findings import Report
from mlkit.debug.trainers import hugging_face_callback, lightning_callback

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the trainers warn of many things


def examples() -> torch.utils.data.TensorDataset:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(256, 6, generator=stream)
    return torch.utils.data.TensorDataset(x, (x[:, 0] + x[:, 1] > 0).long())


def fitted(softmax: bool, folder: Path) -> Report:
    """What the callback reports of a Lightning training with, or without, a softmax before cross-entropy."""
    lightning = pytest.importorskip("lightning")

    class Classifier(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            x, y = batch
            scores = self.net(x)
            if softmax:
                scores = scores.softmax(1)
            return F.cross_entropy(scores, y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=1e-2)

    torch.manual_seed(0)
    reports: list[Report] = []
    loader = torch.utils.data.DataLoader(examples(), batch_size=32, shuffle=True)
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[lightning_callback(on_report=reports.append)],
    )
    trainer.fit(Classifier(), loader)
    (report,) = reports
    return report


def test_lightning_with_a_bug(tmp_path: Path) -> None:
    report = fitted(True, tmp_path)
    assert report.findings[0].code == "loss.probabilities-into-cross-entropy"
    site = report.findings[0].site
    assert site is not None
    assert site.file == __file__
    assert "cross_entropy" in site.source or "softmax" in site.source


def test_lightning_without(tmp_path: Path) -> None:
    assert [one for one in fitted(False, tmp_path).findings if one.severity != "info"] == []


def trained(softmax: bool, folder: Path) -> Report | None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.net(x)
            scores = logits.softmax(1) if softmax else logits
            return {"loss": F.cross_entropy(scores, labels), "logits": logits}

    torch.manual_seed(0)
    rows = [{"x": x, "labels": y} for x, y in examples()]
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=3, learning_rate=1e-2, report_to=[], use_cpu=True,
        save_strategy="no", disable_tqdm=True, remove_unused_columns=False,
    )  # fmt: skip
    doctor = hugging_face_callback(on_report=lambda report: None)
    transformers.Trainer(Net(), arguments, train_dataset=rows, callbacks=[doctor]).train()
    found: Report | None = doctor.report
    return found


def test_hugging_face_with_a_bug(tmp_path: Path) -> None:
    report = trained(True, tmp_path)
    assert report is not None
    assert report.findings[0].code == "loss.probabilities-into-cross-entropy"
    site = report.findings[0].site
    assert site is not None
    first = inspect.getsourcelines(trained)[1]
    assert site.file == __file__
    assert first < site.line < first + 20


def test_hugging_face_without(tmp_path: Path) -> None:
    report = trained(False, tmp_path)
    assert report is not None
    assert [one for one in report.findings if one.severity != "info"] == []
