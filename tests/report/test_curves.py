from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlkit.errors import ConfigError, MlkitError
from mlkit.report.curves import Curve, curves, save_curves

History = list[dict[str, Any]]


def _history(epochs: int, *splits: str, **metrics: float) -> History:
    values = metrics or {"loss": 1.0, "accuracy": 0.5}
    return [
        {"step": 10 * epoch, "epoch": epoch, "split": split, **{name: value / epoch for name, value in values.items()}}
        for epoch in range(1, epochs + 1)
        for split in splits
    ]


def _size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


NAN = math.nan
HISTORIES = {
    "one epoch": _history(1, "running", "train", "val"),
    "many epochs": _history(400, "train", "val", "target_val"),
    "no val": _history(5, "running", "train"),
    "losses of steps only": _history(5, "running", loss=1.0),
    "not a number at the end": [*_history(3, "train", "val"), {"step": 40, "epoch": 4, "split": "val", "loss": NAN}],
    "never a number": _history(3, "train", "val", loss=NAN, accuracy=math.inf),
    "negative and zero": _history(3, "train", "val", loss=-1.0, r2=0.0),
    "over many decades": [{"step": e, "epoch": e, "split": "val", "loss": 10.0**-e} for e in range(20)],
    "a metric of one's own": _history(3, "val", loss=1.0, my_score=3.0),
    "a split of one's own": _history(3, "val", "elsewhere"),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_every_history_makes_a_picture(tmp_path: Path, name: str) -> None:
    save_curves(HISTORIES[name], tmp_path / "curves.png", title=name)
    assert _size(tmp_path / "curves.png")[0] == 1600


def test_a_second_metric_makes_the_picture_taller(tmp_path: Path) -> None:
    save_curves(_history(3, "val", loss=1.0), tmp_path / "loss.png")
    save_curves(_history(3, "val"), tmp_path / "both.png")
    assert _size(tmp_path / "loss.png")[1] < _size(tmp_path / "both.png")[1]


def test_final_evaluations_and_repeated_epochs_do_not_bend_a_curve() -> None:
    history = [
        {"epoch": 1, "step": 1, "split": "val", "loss": 3.0},
        {"epoch": 2, "step": 2, "split": "val", "loss": 9.0},
        {"epoch": 2, "step": 2, "split": "val", "loss": 2.0},
        {"epoch": 2, "step": 2, "split": "val", "loss": 1.0, "final": True},
        {"epoch": 2, "step": 2, "split": "test", "loss": 1.0, "final": True},
    ]
    assert curves(history, "loss") == [Curve("val", [1, 2], [3.0, 2.0])]


def test_the_running_loss_stands_in_where_no_training_examples_were_evaluated() -> None:
    assert [curve.split for curve in curves(_history(2, "running", "train", "val"), "loss")] == ["train", "val"]
    assert [curve.split for curve in curves(_history(2, "running", "val"), "loss")] == ["running", "val"]


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"never evaluated\n  received: 'acuracy'\n  allowed:  accuracy"):
        save_curves(_history(2, "val"), tmp_path / "c.png", metric="acuracy")
    with pytest.raises(MlkitError, match=r"no curve can be drawn\n  received: a history without evaluations"):
        save_curves([], tmp_path / "c.png")
    with pytest.raises(MlkitError, match="the picture cannot be written"):
        save_curves(_history(2, "val"), tmp_path / "missing" / "c.png")
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    program = (
        "import sys, matplotlib\n"
        # To read 'backend' would make matplotlib choose one, and import pyplot for it.
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from mlkit.report import save_curves\n"
        "save_curves([{'step': 1, 'epoch': 1, 'split': 'val', 'loss': 1.0}], sys.argv[1])\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "c.png")], check=True)
