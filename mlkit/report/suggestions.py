"""`next_steps`: what to try after a run, one line each, with the numbers that say so and the command.

The rules go through the recipe in its order: get it to run, beat chance, train long enough, split the error, fix what
dominates. Not here: the facts (`mlkit.report.evidence`), nor any measurement beyond the run's own.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mlkit.engine.result import FitResult
from mlkit.metrics.estimate import Estimate
from mlkit.models.auto import choose
from mlkit.report.evidence import Evidence, clearly_better, evidence_of
from mlkit.task import Task

MOST = 3
COMMAND = "python -m mlkit.train"
WINDOW = 3  # times in a row that the loss must have fallen to be called falling
LEAST_FALL = 0.01  # and by this share in all: a loss that creeps is not worth twice the time
CLEAR_CHANGE = 0.05  # share by which a noisy loss without interval must have changed
# Without a known best possible result a training score above this cannot be called low.
LOW_SCORE = 0.95
SCORES = ("accuracy", "balanced_accuracy", "f1", "auc", "r2")
FEW_HELD_OUT = 1000  # held-out examples below which a larger share of the data is worth holding out
DEEPER = {
    "resnet20": "resnet32",
    "resnet32": "resnet44",
    "resnet44": "resnet56",
    "resnet56": "resnet110",
    "resnet18": "resnet34",
    "resnet34": "resnet50",
}


@dataclass(frozen=True)
class Suggestion:
    """One thing to try.

    Args:
        finding: what the numbers of the run say.
        advice: what follows.
        command: how to do it.
    """

    finding: str
    advice: str
    command: str

    def __str__(self) -> str:
        return f"{self.finding}; {self.advice}: {self.command}"


def next_steps(
    result: FitResult,
    *,
    settings: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    folder: str | None = None,
    task: Task | None = None,
) -> list[str]:
    """One to three things to try after a run, the first step of the recipe first.

    Args:
        result: the run.
        settings: its settings, nested or by dotted name (``Config.to_dict()``); without them the advice is general.
        overrides: what it was started with; the commands repeat it.
        folder: the run folder, as it is to be typed in a command.
        task: what the data are; without it chance is not known.

    Example:
        >>> import torch
        >>> from mlkit.engine.fit import fit
        >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
        >>> y, model = (x[:, 0] > 0).long(), torch.nn.Linear(2, 2)
        >>> adam = torch.optim.Adam(model.parameters(), lr=0.01)
        >>> result = fit(model, (x[50:], y[50:]), val=(x[:50], y[:50]), optimizer=adam, max_epochs=20)
        >>> print(next_steps(result)[0])
        val loss was still falling in the last 4 of 20 epochs; train longer: python -m mlkit.train trainer.max_epochs=40
    """
    evidence = evidence_of(result, settings=settings, overrides=overrides, folder=folder, task=task)
    return [str(suggestion) for suggestion in suggest(evidence)]


def suggest(evidence: Evidence) -> list[Suggestion]:
    """The suggestions that follow from ``evidence``; at most three, and none without metrics."""
    if evidence.status == "interrupted":
        return [found] if (found := _go_on(evidence)) else []
    found_by_rules = [found for rule in RULES if (found := rule(evidence))]
    if not found_by_rules and (repeat := _repeat(evidence)):
        found_by_rules = [repeat]
    return found_by_rules[:MOST]


def _go_on(e: Evidence) -> Suggestion | None:
    if e.folder is None:
        return None
    finding = f"the run was interrupted at step {e.steps:,}"
    return Suggestion(finding, "go on with", f"{COMMAND} resume={_typed(e.folder)}")


def _not_finite(e: Evidence) -> Suggestion | None:
    """The loss on held-out data is no number, or that on training data."""
    for split in ("val", "train", "running"):
        losses = e.losses(split)
        if losses and not math.isfinite(losses[-1][1]) and e.learning_rate:
            lower = f"{e.learning_rate / 10:.3g}"
            return Suggestion(
                f"the {_name(split)} loss is not finite since epoch {_first_not_finite(losses)}",
                "a tenth of the learning rate",
                _command(e, f"optimizer.lr={lower}"),
            )
    return None


def _at_chance(e: Evidence) -> Suggestion | None:
    """Not better than a guess on the training data: the recipe's next step is to overfit a few examples."""
    score, chance, words = _against_chance(e)
    if score is None or score.low is None or score.low > chance:
        return None
    assert e.task is not None  # else chance is not known
    few = max(32, 2 * e.task.num_outputs) if e.task.kind == "classification" else 32
    on = [] if e.setting("trainer.early_stopping") is None else ["trainer.early_stopping=null"]
    return Suggestion(
        f"{words} is not resolved from chance ({chance:.3g})",
        f"a sound model can learn {few} examples by heart, so try that first",
        _command(e, f"data.limit={few}", "trainer.max_epochs=300", *on),
    )


def _against_chance(e: Evidence) -> tuple[Estimate | None, float, str]:
    train = e.metrics.get("train", {})
    if e.task is None:
        return None, 0.0, ""
    if e.task.kind == "classification" and "accuracy" in train:
        score, chance, name = train["accuracy"], 1 / max(e.task.num_outputs, 2), "accuracy"
    elif e.task.kind == "regression" and "r2" in train:
        score, chance, name = train["r2"], 0.0, "r2"
    else:
        return None, 0.0, ""
    return score, chance, f"train {name} {_shown(score)}"


def _train_longer(e: Evidence) -> Suggestion | None:
    """The loss was still getting smaller when the epochs or steps were used up."""
    split = "val" if e.losses("val") else "running"
    finding = _still_falling([loss for _, loss in e.losses(split)])
    if e.status != "completed" or finding is None:
        return None
    if e.max_epochs is not None and e.epochs >= e.max_epochs:
        more = f"trainer.max_epochs={2 * e.max_epochs}"
    elif e.max_steps is not None and e.steps >= e.max_steps:
        more = f"trainer.max_steps={2 * e.max_steps}"
    else:
        return None
    # With a schedule over the whole run a longer run is another run from its first step on.
    goes_on = e.folder is not None and e.setting("schedule.name") == "constant"
    command = f"{COMMAND} resume={_typed(str(e.folder))} {more}" if goes_on else _command(e, more)
    return Suggestion(f"{_name(split)} loss {finding}", "train longer", command)


def _still_falling(losses: Sequence[float]) -> str | None:
    """What says so: it fell every time of late, or the last one is well below all that are not of late."""
    window = min(WINDOW, len(losses) - 1)
    if window < 1:
        return None
    last = losses[-window - 1 :]
    if all(later < earlier for earlier, later in pairwise(last)) and last[0] - last[-1] >= LEAST_FALL * abs(last[0]):
        when = f"all {len(losses)}" if window + 1 == len(losses) else f"the last {window + 1} of {len(losses)}"
        return f"was still falling in {when} epochs"
    before = min(losses[:-window])
    if losses[-1] == min(losses) and 0 <= losses[-1] < (1 - CLEAR_CHANGE) * before:
        share = 100 * (1 - losses[-1] / before)
        return f"was best in the last of {len(losses)} epochs, {share:.0f} % below the best of {window} epochs before"
    return None


def _stop_earlier(e: Evidence) -> Suggestion | None:
    """Held-out loss was best well before the end and has risen since."""
    losses = [(epoch, loss) for epoch, loss in e.losses("val") if math.isfinite(loss)]
    if len(losses) < 2:
        return None
    epoch, best = min(losses, key=lambda pair: pair[1])
    last_epoch, last = losses[-1]
    final = e.metrics.get("val", {}).get("loss")
    if final is not None and final.low is not None:
        risen = last > best and final.low > best
    else:
        risen = last > best * (1 + CLEAR_CHANGE) > 0
    if last_epoch - epoch < 2 or not risen or e.setting("trainer.restore_best"):
        return None
    changes = ["trainer.restore_best=true"]
    if e.setting("trainer.early_stopping") is None:
        changes.insert(0, "trainer.early_stopping=5")
    return Suggestion(
        f"val loss was best in epoch {epoch} of {last_epoch} ({best:.4g}) and has risen to {last:.4g}",
        "stop early and keep the best weights",
        _command(e, *changes),
    )


def _shift(e: Evidence) -> Suggestion | None:
    """Held-out data of the test's distribution are clearly worse than those of the training distribution."""
    val, target, name = e.metrics.get("val", {}), e.metrics.get("target_val", {}), e.main
    if name is None or name not in target or not clearly_better(val[name], target[name], name):
        return None
    augment = _augmentation(e)
    if augment is None:
        return None
    return Suggestion(
        f"val {name} {_shown(val[name])} and target_val {_shown(target[name])} do not overlap",
        "the shift between the two dominates; vary the training data",
        _command(e, augment),
    )


def _bias(e: Evidence) -> Suggestion | None:
    """The score on the training data is itself low, and further from the best possible one than val is from it.

    Of a run that was still getting better that is not known yet, nor what can be reached for the next token of a text.
    """
    name = e.main
    if name not in SCORES or "perplexity" in e.metrics["train"] or _train_longer(e) is not None:
        return None
    train, val = e.metrics["train"][name], e.metrics["val"][name]
    if train.high is None or train.high > LOW_SCORE or 1 - train.value < 2 * (train.value - val.value):
        return None
    finding = f"train {name} {_shown(train)} is itself low, val {_shown(val)} is not far from it"
    larger = _larger_model(e)
    if larger is not None:
        return Suggestion(finding, "bias dominates; a larger model", _command(e, *larger))
    if e.learning_rate:
        return Suggestion(
            finding, "bias dominates; a higher learning rate", _command(e, f"optimizer.lr={3 * e.learning_rate:.3g}")
        )
    return None


def _variance(e: Evidence) -> Suggestion | None:
    """Clearly better on the training data than on held-out data, and that gap is the larger part of the error."""
    name = e.main
    if name is None or _bias(e) is not None:
        return None
    train, val = e.metrics["train"][name], e.metrics["val"][name]
    if not clearly_better(train, val, name):
        return None
    finding = f"train {name} {_shown(train)} and val {_shown(val)} do not overlap"
    limit = e.setting("data.limit")
    if limit is not None and limit <= train.count:  # else there are no more
        return Suggestion(finding, "variance dominates; more data", _command(e, f"data.limit={2 * limit}"))
    augment = _augmentation(e)
    if augment is not None:
        return Suggestion(finding, "variance dominates; augmentation", _command(e, augment))
    model = _model(e)
    if model in ("mlp", "lenet", "lstm") and not e.setting("model.dropout"):
        return Suggestion(finding, "variance dominates; dropout", _command(e, f"model={model}", "model.dropout=0.2"))
    decay = max(0.01, 10 * (e.setting("optimizer.weight_decay") or 0.0))
    changes = ("optimizer=adamw", f"optimizer.weight_decay={decay:.3g}")
    return Suggestion(finding, "variance dominates; weight decay", _command(e, *changes))


def _not_resolved(e: Evidence) -> Suggestion | None:
    """Train is better than val, but so few examples are held out that it may be chance."""
    name = e.main
    if name is None or _bias(e) is not None or not e.has("data.val_fraction"):
        return None
    train, val = e.metrics["train"][name], e.metrics["val"][name]
    share = 2 * (e.setting("data.val_fraction") or 0.1)
    if clearly_better(train, val, name) or val.count >= FEW_HELD_OUT or share > 0.4 or val.count == 0:
        return None
    return Suggestion(
        f"the gap between train {name} {_shown(train)} and val {_shown(val)} is not resolved by {val.count} examples",
        "hold out more",
        _command(e, f"data.val_fraction={share:.3g}"),
    )


def _repeat(e: Evidence) -> Suggestion | None:
    split = next((split for split in ("val", "test", "train") if e.metrics.get(split)), None)
    if split is None:
        return None
    name = next((name for name in e.metrics[split] if name != "loss"), "loss")
    return Suggestion(
        f"{split} {name} {_shown(e.metrics[split][name])} is of one seed",
        "see how much the seed matters",
        f"{_command(e)} -m seed=0,1,2",
    )


Rule = Callable[[Evidence], "Suggestion | None"]
RULES: tuple[Rule, ...] = (
    _not_finite,
    _at_chance,
    _train_longer,
    _stop_earlier,
    _shift,
    _bias,
    _variance,
    _not_resolved,
)
"""In the order of the recipe; the first three that apply are shown."""


def _model(e: Evidence) -> str | None:
    """The model that was trained, where it is one of mlkit's."""
    name = e.setting("model.name")
    if name == "auto":
        return None if e.task is None else choose(e.task)
    return None if name is None else str(name)


def _larger_model(e: Evidence) -> tuple[str, ...] | None:
    model = _model(e)
    if model in DEEPER:
        return (f"model={DEEPER[model]}",)
    if model == "mlp":
        hidden = [2 * width for width in e.setting("model.hidden") or (128,)]
        return "model=mlp", f"model.hidden=[{','.join(map(str, hidden))}]"
    if model == "lenet":
        return "model=lenet", f"model.width={2 * (e.setting('model.width') or 1.0):g}"
    if model == "lstm":
        return "model=lstm", f"model.hidden={2 * (e.setting('model.hidden') or 128)}"
    return None


def _augmentation(e: Evidence) -> str | None:
    """The first augmentation to try on images, small enough to keep a digit a digit."""
    if e.task is None or e.task.input_kind != "image" or not e.has("data.augment") or e.setting("data.augment"):
        return None
    return "data.augment=[shift]" if min(e.task.input_shape[-2:]) >= 28 else "data.augment=[shift(1)]"


def _command(e: Evidence, *changes: str) -> str:
    """The command of the run with ``changes`` in place of what it said of the same settings."""
    changed = {change.partition("=")[0] for change in changes}
    # hydra.run.dir would point at the folder of the run that there is.
    kept = [
        override
        for override in e.overrides
        if override.lstrip("+~").partition("=")[0] not in changed and not override.startswith("hydra.run.dir=")
    ]
    # The model's own settings do not fit another one.
    new_model = next((change.partition("=")[2] for change in changes if change.startswith("model=")), None)
    if new_model is not None and new_model != _model(e):
        kept = [override for override in kept if not override.lstrip("+~").startswith("model.")]
    return " ".join([COMMAND, *map(_typed, [*kept, *changes])])


def _typed(argument: str) -> str:
    return shlex.quote(argument)


def _shown(estimate: Estimate) -> str:
    interval = "" if estimate.low is None else f" [{estimate.low:.4g}, {estimate.high:.4g}]"
    return f"{estimate.value:.4g}{interval}"


def _name(split: str) -> str:
    return "training" if split == "running" else split


def _first_not_finite(losses: Sequence[tuple[int, float]]) -> int:
    first = losses[-1][0]
    for epoch, loss in reversed(losses):
        if math.isfinite(loss):
            break
        first = epoch
    return first
