"""Mistakes that people make, each with what it takes to make it; `python -m tests.mistakes` writes docs/errors.md.

Not here: the assertions (`tests/test_mistakes.py`).
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from mlkit.config.command import main
from mlkit.engine import checkpoint

FAST = ["trainer.max_epochs=1", "trainer.speed=off", "trainer.device=cpu", "tracking=none"]
TABLE = "a,b,city,y\n" + "".join(f"{i % 7},{i % 5}.5,{'rome' if i % 2 else 'oslo'},{i % 3}\n" for i in range(60))


@dataclass(frozen=True)
class Mistake:
    """Something that a person gets wrong.

    Args:
        group: heading in the documentation.
        what: the mistake in words.
        arguments: of ``python -m mlkit.train``.
        expected: what the message has to contain.
        code: exit code, 2 for settings that cannot be right and 1 for a run that failed.
        prepare: makes the files, in the working directory.
    """

    group: str
    what: str
    arguments: list[str]
    expected: str
    code: int = 2
    prepare: Callable[[], object] = lambda: None


def _write(name: str, content: str | bytes) -> Callable[[], object]:
    def write() -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def _run_then(change: Callable[[Path], object]) -> Callable[[], object]:
    """A finished run in ``run``, with something changed in its folder."""

    def prepare() -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            assert main([*FAST, "data=blobs", "hydra.run.dir=run"]) == 0
        change(Path("run"))

    return prepare


def _mnist(change: Callable[[bytes], bytes]) -> Callable[[], object]:
    """Twelve MNIST-like images in IDX files, with something wrong in the training images."""

    def idx(array: np.ndarray) -> bytes:
        head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        return head + array.astype(np.uint8).tobytes()

    def prepare() -> None:
        folder = Path("files/MNIST/raw")
        folder.mkdir(parents=True)
        images, labels = np.zeros((60, 28, 28)), np.arange(60) % 10
        for prefix in ("train", "t10k"):
            (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
            (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))
        file = folder / "train-images-idx3-ubyte"
        file.write_bytes(change(file.read_bytes()))

    return prepare


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


def _malicious(folder: Path) -> None:
    for name in ("last.pt", "previous.pt"):
        (folder / "checkpoints" / name).write_bytes(pickle.dumps({"model": _Evil()}))


def _other_model(folder: Path) -> None:
    content = checkpoint.load(folder / "checkpoints" / "last.pt")
    content["model"] = {name: torch.zeros(3, *value.shape) for name, value in content["model"].items()}
    for name in ("last.pt", "previous.pt"):
        checkpoint.save(folder / "checkpoints" / name, content)


def _cut(folder: Path) -> None:
    for file in (folder / "checkpoints").glob("*.pt"):
        file.write_bytes(file.read_bytes()[:-500])


def _reseed(folder: Path) -> None:
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    settings["data"]["spread"] = 0.7
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def _csv(content: str) -> Callable[[], object]:
    return _write("table.csv", content)


_CSV = ["data=csv", "data.path=table.csv", "data.target=y", *FAST]
_ROWS = TABLE.splitlines(keepends=True)
_PLUGIN = "import mlkit\nfrom torch import nn\n\n@mlkit.register\ndef net(num_outputs: int, in_features: int):\n"

MISTAKES = [
    Mistake("Settings", "a model that does not exist", ["model=lenett"], "did you mean 'lenet'?"),
    Mistake("Settings", "a data set that does not exist", ["data=mnits"], "did you mean 'mnist'?"),
    Mistake("Settings", "a model where a data set is meant", ["data=lenet"], "did you mean model=lenet?"),
    Mistake("Settings", "an experiment that does not exist", ["experiment=lenet_mnst"], "did you mean 'lenet_mnist'?"),
    Mistake("Settings", "a misspelt setting", ["optimizer.lrr=1e-3"], "did you mean 'optimizer.lr'?"),
    Mistake(
        "Settings", "a misspelt setting, forced with +", ["+trainer.max_epoch=3"], "did you mean 'trainer.max_epochs'?"
    ),
    Mistake("Settings", "a setting without its group", ["lr=0.1"], "did you mean 'optimizer.lr'?"),
    Mistake("Settings", "an option in the manner of other programs", ["--epochs", "5"], "trainer.max_epochs"),
    Mistake("Settings", "a word without a value", ["lenet"], "did you mean model=lenet?"),
    Mistake("Settings", "text for a number", ["optimizer.lr=fast"], "a number > 0"),
    Mistake("Settings", "a decimal comma", ["optimizer.lr='0,001'"], "0.001"),
    Mistake("Settings", "half a batch", ["trainer.batch_size=1.5"], "a whole number >= 1"),
    Mistake("Settings", "a negative learning rate", ["optimizer.lr=-1"], "a number > 0"),
    Mistake("Settings", "yes for true", ["optimizer.nesterov=yes"], "write true or false"),
    Mistake("Settings", "several mistakes at once", ["model=mpl", "optimizer.lr=0", "seed=x"], "3 mistakes"),
    Mistake("Settings", "several values without -m", ["optimizer.lr=0.1,0.01"], "add -m to run one job for each"),
    Mistake(
        "Settings", "brackets that do not match", ["model=mlp", "model.hidden=[64"], "the brackets [] do not match"
    ),
    Mistake("Settings", "a setting of another model", ["model=lenet", "model.hidden=[64]"], "model=mlp"),
    Mistake(
        "Combinations", "a model that does not fit the data", ["model=lenet", "data=names"], "models that fit names"
    ),
    Mistake("Combinations", "a run without an end", ["trainer.max_epochs=null"], "the run would never end"),
    Mistake("Combinations", "a step schedule without steps", ["schedule=step"], "when to drop the learning rate"),
    Mistake("Combinations", "momentum in front of Adam", ["optimizer.nesterov=true"], "take optimizer=sgd"),
    Mistake(
        "Combinations", "nothing left to train on", ["data.val_fraction=0.6", "data.test_fraction=0.5"], "less than 1"
    ),
    Mistake("Combinations", "the test part as a judge", ["trainer.monitor=test/accuracy"], "take val/accuracy"),
    Mistake(
        "Combinations", "a target the wrong way round", ["trainer.target='val/loss>=0.1'"], "write 'val/loss<=0.1'"
    ),
    Mistake("Combinations", "a GPU that is not there", ["trainer.device=cuda:99"], "trainer.device"),
    Mistake("Combinations", "a time that is none", ["trainer.max_time=soon"], "for example trainer.max_time=10m"),
    Mistake("Combinations", "a misspelt metric", ["trainer.metrics=[acuracy]"], "did you mean 'accuracy'?"),
    Mistake("Combinations", "an unknown augmentation", ["data.augment=[flop]"], "did you mean 'flip'?"),
    Mistake("Combinations", "crops of tables", ["data=wine", "data.augment=[crop]", *FAST], "does not fit the data"),
    Mistake(
        "Combinations",
        "a resume of several jobs",
        ["-m", "resume=run"],
        "leave -m out",
        prepare=_run_then(lambda _: None),
    ),
    Mistake("Files and folders", "a table that is not there", _CSV, "data.path does not exist"),
    Mistake(
        "Files and folders",
        "data that are not there",
        ["data=mnist", "data.root=files", "data.download=false", *FAST],
        "MNIST",
        1,
        lambda: Path("files").mkdir(),
    ),
    Mistake(
        "Files and folders",
        "a run folder in use",
        [*FAST, "hydra.run.dir=run"],
        "belongs to another run",
        2,
        _run_then(lambda _: None),
    ),
    Mistake(
        "Files and folders",
        "a run folder below a file",
        [*FAST, "hydra.run.dir=file/run"],
        "cannot be written",
        2,
        _write("file", "x"),
    ),
    Mistake(
        "Files and folders",
        "a plugin that is not there",
        ["plugins=[my_modle]"],
        "did you mean 'my_model'?",
        2,
        _write("my_model.py", ""),
    ),
    Mistake(
        "Files and folders",
        "a plugin with an error",
        ["plugins=[my_model]"],
        "my_model.py",
        2,
        _write("my_model.py", "1 / 0\n"),
    ),
    Mistake(
        "Files and folders",
        "a YAML file with an error",
        ["optimizer=mine"],
        "mine",
        2,
        _write("configs/optimizer/mine.yaml", "lr: [1\n"),
    ),
    Mistake(
        "Files and folders",
        "a YAML file that names code",
        ["experiment=trap"],
        "nothing from a file is executed",
        2,
        _write("configs/experiment/trap.yaml", "# @package _global_\nhydra: {callbacks: {x: {_target_: os.system}}}\n"),
    ),
    Mistake(
        "Data",
        "a target that is no column",
        ["data=csv", "data.path=table.csv", "data.target=price", *FAST],
        "price",
        1,
        _csv(TABLE),
    ),
    Mistake("Data", "a table without rows", _CSV, "table.csv", 1, _csv(_ROWS[0])),
    Mistake("Data", "a line that is too short", _CSV, "line 31", 1, _csv("".join([*_ROWS[:30], "1,2\n", *_ROWS[31:]]))),
    Mistake(
        "Data",
        "an infinite number in a table",
        _CSV,
        "inf",
        1,
        _csv("".join([*_ROWS[:30], "inf,2,rome,1\n", *_ROWS[31:]])),
    ),
    Mistake("Data", "a table with one class", _CSV, "class", 1, _csv(_ROWS[0] + _ROWS[1] * 40)),
    Mistake(
        "Data",
        "an image file cut short",
        ["data=mnist", "data.root=files", "data.download=false", *FAST],
        "train-images-idx3-ubyte",
        1,
        _mnist(lambda content: content[:-1000]),
    ),
    Mistake(
        "Data",
        "an image file of another kind",
        ["data=mnist", "data.root=files", "data.download=false", *FAST],
        "train-images-idx3-ubyte",
        1,
        _mnist(lambda content: b"<html>" + content),
    ),
    Mistake("Data", "a class that does not exist", ["data.classes=[0,12]", *FAST], "12", 2),
    Mistake(
        "Data",
        "an empty image folder",
        ["data=image_folder", "data.path=photos", *FAST],
        "photos",
        1,
        lambda: Path("photos").mkdir(),
    ),
    Mistake(
        "Data",
        "a text that is too short",
        ["data=text_file", "data.path=text.txt", *FAST],
        "text.txt",
        1,
        _write("text.txt", "short"),
    ),
    Mistake("Checkpoints", "a folder that is no run", ["resume=nowhere"], "there is no run to resume", 2),
    Mistake(
        "Checkpoints",
        "another learning rate on resume",
        ["resume=run", "optimizer.lr=1"],
        "cannot be changed",
        2,
        _run_then(lambda _: None),
    ),
    Mistake(
        "Checkpoints", "checkpoints that are all damaged", ["resume=run"], "no whole checkpoint", 1, _run_then(_cut)
    ),
    Mistake(
        "Checkpoints",
        "a checkpoint of another architecture",
        ["resume=run"],
        "belongs to another model",
        1,
        _run_then(_other_model),
    ),
    Mistake(
        "Checkpoints", "a malicious file as a checkpoint", ["resume=run"], "was not loaded", 1, _run_then(_malicious)
    ),
    Mistake(
        "Checkpoints",
        "other data than before",
        ["resume=run", "trainer.max_epochs=2"],
        "the data are not those",
        1,
        _run_then(_reseed),
    ),
    Mistake(
        "Training", "a learning rate that explodes", [*FAST, "model=lenet", "optimizer.lr=1e10"], "first bad layer", 1
    ),
    Mistake(
        "Training",
        "a model that is none",
        [*FAST, "plugins=[plugged]", "model=net"],
        "made no model",
        1,
        _write("plugged.py", _PLUGIN + "    return 3\n"),
    ),
    Mistake(
        "Training",
        "a model with too few outputs",
        [*FAST, "plugins=[plugged2]", "model=net2"],
        "output",
        1,
        _write(
            "plugged2.py",
            _PLUGIN.replace("def net", "def net2")
            + "    return nn.Sequential(nn.Flatten(), nn.Linear(in_features, 3))\n",
        ),
    ),
]


def told(mistake: Mistake) -> tuple[int, str]:
    """Make the mistake in an empty folder; the exit code and what stands on standard error."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.chdir(folder)
        try:
            mistake.prepare()
            errors = io.StringIO()
            with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
                code = main(mistake.arguments)
            assert not Path("pwned").exists(), "code from a file was run"
        finally:
            os.chdir(here)
        return code, errors.getvalue().replace(str(Path(folder).resolve()), ".").replace(folder, ".")


def page() -> str:
    """The documentation of the messages, as they are."""
    lines = [
        "# What mlkit says when something is wrong",
        "",
        "Every message says what is wrong, what was received, what is allowed and what to do, all mistakes at once and",
        "without a stack trace. Settings that cannot be right end with exit code 2 before anything is read, a run that",
        "failed with 1. This page is made by `python -m tests.mistakes`, and a test makes each of these mistakes.",
    ]
    group = ""
    for mistake in MISTAKES:
        if mistake.group != group:
            group = mistake.group
            lines += ["", f"## {group}"]
        code, message = told(mistake)
        shown = " ".join(argument for argument in mistake.arguments if argument not in FAST)
        lines += ["", f"**{mistake.what[0].upper()}{mistake.what[1:]}** (exit code {code})", "", "```text"]
        lines += [f"$ python -m mlkit.train {shown}", *message.strip().splitlines(), "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parents[1] / "docs" / "errors.md").write_text(page(), encoding="utf-8")
