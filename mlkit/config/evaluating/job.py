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
from mlkit.config.evaluating.rows import RunLabels, RunSlices, labels_of_run, slices_of_run
from mlkit.config.evaluating.settings import EvaluateSettings
from mlkit.config.evaluating.ways import CURVE, LABELS, Ways
from mlkit.config.run_folder import shown
from mlkit.config.searching.executor import refuse_what_runs_alone
from mlkit.data.splits import Split
from mlkit.errors import ConfigError
from mlkit.evaluate.advice import Advice, advise
from mlkit.evaluate.curve import LearningCurve, learning_curve
from mlkit.evaluate.decompose import decompose
from mlkit.evaluate.decomposition import Decomposition
from mlkit.evaluate.ladder import Ladder
from mlkit.evaluate.ladder_of import ladder_of
from mlkit.evaluate.outputs import LossName
from mlkit.evaluate.pictures import svg
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
        labels: training labels that are likely wrong; None without a decomposition, and for what is no classification.
        slices: groups of rows with more error; None for what has no columns.
        curve: error by training rows; None where it was not asked for.
        advice: what to do next: the three best actions, each with its number and the command.
        speed: how the retrained models were trained.
        notes: what else is to be known.
    """

    finished: Finished
    ladder: Ladder
    decomposition: Decomposition | None
    errors: RunErrors | None
    labels: RunLabels | None
    slices: RunSlices | None
    curve: LearningCurve | None
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
            "labels": None if self.labels is None else self.labels.to_dict(),
            "slices": None if self.slices is None else self.slices.to_dict(),
            "curve": None if self.curve is None else self.curve.to_dict(),
            "advice": self.advice.to_dict(),
            "speed": list(self.speed),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        parts = (self.ladder, self.decomposition, self.curve, self.errors, self.slices, self.labels)
        notes = ["\n".join(wrapped(note)) for note in self.notes]
        return "\n\n".join([*(str(part) for part in parts if part is not None), *notes, str(self.advice)])

    def _repr_html_(self) -> str:
        return "".join(self.sections())

    def sections(self) -> list[str]:
        """The parts as HTML."""
        parts = [section("From human to test error", self.ladder._repr_html_())]
        if self.decomposition is not None:
            parts.append(section("Noise, bias and variance", self.decomposition._repr_html_()))
        if self.curve is not None:
            parts.append(section("Learning curve", _told(self.curve) + svg(self.curve.figure(theme="neutral"))))
        if self.errors is not None:
            text = "".join(map(_told, (self.errors.confusion, self.errors.worst, self.errors.calibration)))
            parts.append(section(f"The errors on {self.errors.split}", text + "".join(self.errors.pictures)))
        if self.slices is not None:
            parts.append(section(f"The worst slices of {self.slices.split}", _told(self.slices)))
        if self.labels is not None:
            parts.append(section(LABELS.capitalize(), _told(self.labels) + (self.labels.picture or "")))
        parts.append(section("What to do next", self.advice._repr_html_()))
        if self.notes:
            parts.append(section("Notes", "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)))
        return parts


def _told(part: object) -> str:
    """What a part prints, as HTML; nothing where there is none."""
    return "" if part is None else f'<pre style="white-space:pre-wrap">{html.escape(str(part))}</pre>'


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
    labels: RunLabels | None = None
    curve: LearningCurve | None = None
    learner: ConfigLearner | None = None
    why = _obstacle(finished)
    if why is None and (settings.size != "none" or settings.curve):
        learner = ConfigLearner(finished.config, finished.data)
        if settings.size != "none":
            found = _decomposed(finished, settings, learner)
            labels = labels_of_run(finished, learner)  # before the models of a curve, which see fewer rows
        curve = _curve(finished, settings, learner) if settings.curve else None
    if settings.size == "none":
        why = why or "size=none; size=quick retrains 4 models on halves of the data"
    if why is not None:
        notes.append(f"no decomposition: {why}")
    errors, slices = errors_of_run(finished), slices_of_run(finished)
    described = {
        "" if errors is None else f"errors on {errors.split}": errors,
        "worst slices": slices,
        LABELS: labels,
        CURVE: curve,
    }
    way = Ways(finished, described=[name for name, part in described.items() if part is not None])
    advice = advise(ladder, found, others=[] if labels is None else [labels.sure], way=way)
    speed = tuple(learner.speed) if learner else ()
    return Evaluation(finished, ladder, found, errors, labels, slices, curve, advice, speed, tuple(notes))


def _obstacle(finished: Finished) -> str | None:
    """Why no models can be trained as the run was, on parts of its data."""
    if finished.data.task.kind == "next_token":
        return "predictions of a next token are not split into bias and variance yet"
    try:
        refuse_what_runs_alone(finished.config)
    except ConfigError as error:
        received = [f"{one.what.partition(' ')[0]}={one.received}" for one in error.problems if one.received]
        return f"models that are trained together cannot have {', '.join(received) or 'a run without max_epochs'}"
    return None


def _curve(finished: Finished, settings: EvaluateSettings, learner: ConfigLearner) -> LearningCurve:
    """By the unit of the ladder: wrong classes, else the squared error."""
    return learning_curve(
        learner,
        gathered(finished.data.train),
        test=_held(finished, settings),
        loss="zero_one" if finished.data.task.kind == "classification" else "squared",
        seed=finished.config.seed,
    )


def _decomposed(finished: Finished, settings: EvaluateSettings, learner: ConfigLearner) -> Decomposition:
    data = finished.data
    loss: LossName = "cross_entropy" if data.task.kind == "classification" else "squared"
    if settings.loss != "auto":
        loss = settings.loss
    assert settings.size != "none"
    return decompose(
        learner,
        gathered(data.train),
        test=_held(finished, settings),
        loss=loss,
        size=settings.size,
        seed=finished.config.seed,
        full=True,
    )


def _held(finished: Finished, settings: EvaluateSettings) -> tuple[Any, Any]:
    data = finished.data
    return gathered(data.val if data.test is None else data.test, most=settings.rows, seed=finished.config.seed)


def gathered(split: Split, *, most: int | None = None, seed: int = 0) -> tuple[Any, Any]:
    """Inputs and targets of a split, of a random part of it where it is larger than ``most``."""
    rows = torch.arange(len(split))
    if most is not None and len(split) > most:
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
