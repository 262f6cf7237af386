"""The evaluation of a run: ladder, decomposition, errors, what follows; kept as JSON and as one page beside the run.

Not here: the command line (`mlkit.config.evaluating.command`).
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mlkit.config.evaluating.errors import RunErrors, errors_of_run
from mlkit.config.evaluating.finished import Finished
from mlkit.config.evaluating.learner import ConfigLearner
from mlkit.config.evaluating.settings import EvaluateSettings
from mlkit.config.run_folder import shown
from mlkit.data.bundle import DataBundle
from mlkit.data.splits import Split
from mlkit.evaluate.advice import Advice, advise
from mlkit.evaluate.decompose import decompose
from mlkit.evaluate.decomposition import Decomposition
from mlkit.evaluate.ladder import Ladder
from mlkit.evaluate.ladder_of import ladder_of
from mlkit.evaluate.outputs import LossName
from mlkit.evaluate.terms import wrapped
from mlkit.report.page import page, section
from mlkit.runtime.files import write_json, write_text
from mlkit.runtime.keys import generator


@dataclass(frozen=True)
class Evaluation:
    """Where the error of a run comes from.

    Args:
        finished: the run.
        ladder: the steps between its splits.
        decomposition: of its loss by retraining; None where there was none, and ``notes`` says why.
        errors: of the run's own model; None for what is no classification of rows.
        advice: what to do next: the three best actions, each with its number and the command.
        speed: how the retrained models were trained.
        notes: what else is to be known.
    """

    finished: Finished
    ladder: Ladder
    decomposition: Decomposition | None
    errors: RunErrors | None
    advice: Advice
    speed: tuple[dict[str, object], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "run": str(self.finished.folder),
            "ladder": self.ladder.to_dict(),
            "decomposition": None if self.decomposition is None else self.decomposition.to_dict(),
            "errors": None if self.errors is None else self.errors.to_dict(),
            "advice": self.advice.to_dict(),
            "speed": list(self.speed),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        decomposed = [] if self.decomposition is None else [str(self.decomposition)]
        errors = [] if self.errors is None else [str(self.errors)]
        notes = ["\n".join(wrapped(note)) for note in self.notes]
        return "\n\n".join([str(self.ladder), *decomposed, *errors, *notes, str(self.advice)])

    def _repr_html_(self) -> str:
        return "".join(self.sections())

    def sections(self) -> list[str]:
        """The parts as HTML."""
        parts = [section("From human to test error", self.ladder._repr_html_())]
        if self.decomposition is not None:
            parts.append(section("Noise, bias and variance", self.decomposition._repr_html_()))
        if self.errors is not None:
            told = [str(one) for one in (self.errors.confusion, self.errors.worst, self.errors.calibration) if one]
            text = "".join(f'<pre style="white-space:pre-wrap">{html.escape(one)}</pre>' for one in told)
            parts.append(section(f"The errors on {self.errors.split}", text + "".join(self.errors.pictures)))
        parts.append(section("What to do next", self.advice._repr_html_()))
        if self.notes:
            parts.append(section("Notes", "".join(f"<p>{note}</p>" for note in self.notes)))
        return parts


def evaluate(finished: Finished, settings: EvaluateSettings) -> Evaluation:
    """Evaluate a run; nothing is written.

    Args:
        finished: the run.
        settings: what to spend on it.

    Raises:
        MlkitError: a run whose models cannot be trained together, or do not come to their end.
    """
    ladder = ladder_of(finished.model, finished.data, human=settings.human)
    notes: list[str] = []
    found: Decomposition | None = None
    learner: ConfigLearner | None = None
    why = _obstacle(finished.data, settings)
    if why is None:
        learner = ConfigLearner(finished.config, finished.data)
        found = _decomposed(finished, settings, learner)
    else:
        notes.append(f"no decomposition: {why}")
    return Evaluation(
        finished,
        ladder,
        found,
        errors_of_run(finished),
        advise(ladder, found),
        tuple(learner.speed) if learner else (),
        tuple(notes),
    )


def _obstacle(data: DataBundle, settings: EvaluateSettings) -> str | None:
    if settings.size == "none":
        return "size=none; size=quick retrains 4 models on halves of the data"
    if data.task.kind == "next_token":
        return "predictions of a next token are not split into bias and variance yet"
    return None


def _decomposed(finished: Finished, settings: EvaluateSettings, learner: ConfigLearner) -> Decomposition:
    data = finished.data
    loss: LossName = "cross_entropy" if data.task.kind == "classification" else "squared"
    if settings.loss != "auto":
        loss = settings.loss
    assert settings.size != "none"
    held = data.val if data.test is None else data.test
    return decompose(
        learner,
        _gathered(data.train, len(data.train), seed=0),
        test=_gathered(held, settings.rows, seed=finished.config.seed),
        loss=loss,
        size=settings.size,
        seed=finished.config.seed,
        full=True,
    )


def _gathered(split: Split, most: int, *, seed: int) -> tuple[Any, Any]:
    """Inputs and targets of a split, of a random part of it where it is larger than ``most``."""
    rows = torch.arange(len(split))
    if len(split) > most:
        rows = torch.randperm(len(split), generator=generator(seed, "evaluated rows"))[:most].sort().values
    batch = split.gather(rows.to(split.device))
    inputs = batch.inputs
    assert isinstance(inputs, tuple)
    return inputs[0] if len(inputs) == 1 else inputs, batch.targets


def write(evaluation: Evaluation, folder: Path) -> Path:
    """Write ``evaluation.json`` and ``evaluation.html``; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "evaluation.json", evaluation.to_dict())
    target = folder / "evaluation.html"
    write_text(target, page(f"evaluation of {shown(evaluation.finished.folder)}", evaluation.sections()))
    return target
