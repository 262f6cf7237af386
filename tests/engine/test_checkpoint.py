from __future__ import annotations

import pickle
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mlkit.data.batches import SplitBatches
from mlkit.data.splits import TensorSplit
from mlkit.engine import checkpoint
from mlkit.engine.checkpoint import Checkpoints
from mlkit.engine.loop import Plan, train
from mlkit.engine.state import TrainState
from mlkit.engine.step import supervised
from mlkit.errors import CheckpointError
from mlkit.runtime import rng


def _state(width: int = 8) -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(width, 2))
    return TrainState(model, torch.optim.Adam(model.parameters(), lr=1e-2))


def _batches() -> SplitBatches:
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=stream)
    return SplitBatches(TensorSplit((x,), (x[:, 0] > 0).long()), 8, shuffle=True)


def _same(first: object, second: object) -> bool:
    return checkpoint.digest(first) == checkpoint.digest(second)


@pytest.mark.parametrize("steps", [1, 7, 8, 12])
def test_a_run_resumed_from_disk_is_bit_identical_dropout_and_statistics_included(tmp_path: Path, steps: int) -> None:
    whole = _state()
    torch.manual_seed(7)
    train(whole, Plan(_batches(), supervised(F.cross_entropy), max_epochs=3))

    first = _state()
    torch.manual_seed(7)
    train(first, Plan(_batches(), supervised(F.cross_entropy), max_epochs=3, max_steps=steps))
    Checkpoints(tmp_path, rng.capture).save(first)

    torch.rand(17)  # another process has another stream
    second = _state()
    content, _, wrong = checkpoint.load_newest(tmp_path)
    checkpoint.restore(second, content)
    rng.restore(content["rng"])
    train(second, Plan(_batches(), supervised(F.cross_entropy), max_epochs=3))
    assert wrong is None
    assert _same(second.model.state_dict(), whole.model.state_dict())
    assert _same(second.optimizer.state_dict(), whole.optimizer.state_dict())
    assert second.step == whole.step


@pytest.mark.parametrize("damage", ["half", "empty", "flipped"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    state, saver = _state(), Checkpoints(tmp_path, rng.capture)
    saver.save(state)
    state.step = 5
    saver.save(state)
    whole = (tmp_path / "last.pt").read_bytes()
    middle = len(whole) // 2
    flipped = bytes(byte ^ 255 for byte in whole[middle : middle + 200])
    damaged = {"half": whole[:middle], "empty": b"", "flipped": whole[:middle] + flipped + whole[middle + 200 :]}
    (tmp_path / "last.pt").write_bytes(damaged[damage])
    content, path, wrong = checkpoint.load_newest(tmp_path)
    assert path.name == "previous.pt"
    assert content["state"]["step"] == 0
    assert "damaged" in str(wrong)


def test_a_changed_number_is_noticed(tmp_path: Path) -> None:
    Checkpoints(tmp_path, rng.capture).save(_state())
    content = torch.load(tmp_path / "last.pt", weights_only=True)
    content["model"]["0.weight"][0, 0] += 1e-6
    torch.save(content, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="does not match its digest"):
        checkpoint.load(tmp_path / "last.pt")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    torch.save({"model": Evil()}, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="something other than numbers"):
        checkpoint.load(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "last.pt")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_model_are_refused_by_name_and_shape(tmp_path: Path) -> None:
    Checkpoints(tmp_path, rng.capture).save(_state(width=8))
    other = _state(width=9)
    before = checkpoint.digest(other.model.state_dict())
    with pytest.raises(CheckpointError, match=r"other shape: 0.weight \[8, 5\] \(here \[9, 5\]\)"):
        checkpoint.restore(other, checkpoint.load(tmp_path / "last.pt"))
    assert checkpoint.digest(other.model.state_dict()) == before


def test_no_checkpoint_at_all_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        checkpoint.load_newest(tmp_path)


def test_a_disk_that_fills_up_leaves_the_older_checkpoint(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    saver = Checkpoints(tmp_path, rng.capture)
    saver.save(_state())
    before = (tmp_path / "last.pt").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))  # the kernel refuses to write further, as a full disk
    try:
        with pytest.raises(CheckpointError, match="could not be written"):
            saver.save(_state(width=1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "last.pt").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt", "previous.pt"]
