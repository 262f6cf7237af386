"""How each action of the advice is carried out on one run: the command as it is typed, with the run's own settings.

Not here: which action comes first (`mlkit.evaluate.advice`), nor what an action may bring (`mlkit.evaluate.actions`).
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from mlkit.config.evaluating.finished import Finished
from mlkit.config.job import model_name
from mlkit.config.own import own_words, typed
from mlkit.config.run_folder import read_config, shown
from mlkit.config.schema import Config
from mlkit.config.searching.executor import ALONE
from mlkit.evaluate.actions import EVALUATE, MEMBERS, SEARCH, TRAIN, Action
from mlkit.report.suggestions import DEEPER
from mlkit.runtime.nested import dotted

LABELS, CURVE = "likely label errors", "learning curve"  # parts of the page that actions point to
SHALLOWER = {deeper: model for model, deeper in DEEPER.items()}
LARGER_IMAGE = 28  # pixels; on smaller ones a shift by two pixels or a turn changes what is seen
MOST_HELD_OUT = 0.4  # beyond it the training set suffers more than the validation set wins

Way = Callable[["Ways"], "str | tuple[str, str] | None"]
"""The command or text, and what is left to do by hand after it; None where nothing of that kind is left to do."""


class Ways:
    """Carries actions out on a run; called with an action it returns it with the run's own command, or None.

    Args:
        finished: the run.
        described: what stands on the page beside the terms: ``LABELS``, ``CURVE``, or where errors are looked at.

    >>> import tempfile, mlkit
    >>> from mlkit.config.evaluating.finished import finished_run
    >>> from mlkit.evaluate.actions import UNDERFITTING
    >>> config = Config.from_overrides(["data=blobs", "model=mlp", "trainer.max_epochs=1", "tracking=none"])
    >>> run = mlkit.run(config, folder=tempfile.mkdtemp() + "/run")
    >>> found = Ways(finished_run(run.folder))(UNDERFITTING[0])
    >>> found.call.replace("tracking.console=false tracking.tensorboard=false ", "")
    "python -m mlkit.train model=mlp data=blobs trainer.max_epochs=1 'model.hidden=[256]'"
    """

    def __init__(self, finished: Finished, *, described: Sequence[str] = ()) -> None:
        self.finished, self.described = finished, tuple(described)
        self.config, self.data = finished.config, finished.data
        self.model = model_name(finished.config, finished.data)

    def __call__(self, action: Action) -> Action | None:
        """The action as it is carried out on the run; None where it cannot be."""
        found = WAYS[action.name](self)
        if found is None:
            return None
        call, then = found if isinstance(found, tuple) else (found, "")
        return replace(action, call=call, then=then)

    @cached_property
    def words(self) -> list[str]:
        """The run's own settings, and the plugins that its folder names."""
        stored = self.finished.folder / "config.yaml"
        plugins = read_config(self.finished.folder).get("plugins") if stored.exists() else None
        return own_words(self.config, plugins=plugins or [])

    def train(self, *changes: str) -> str:
        """The command that trains with some settings changed."""
        return _command(TRAIN, self._with(changes))

    def search(self, *changes: str) -> str:
        """The command that searches around the run; without what members trained together cannot have."""
        trainer, usual = self.config.trainer, Config().trainer
        if trainer.max_epochs is None:
            epochs = usual.max_epochs
            if trainer.max_steps is not None:
                batches = math.ceil(len(self.data.train) / trainer.batch_size)
                epochs = math.ceil(trainer.max_steps * trainer.accumulate / batches)
            changes = (f"trainer.max_epochs={epochs}", *changes)
        kept = [word for word in self._with(changes) if _key(word) not in ALONE and not _key(word).startswith("track")]
        return _command(SEARCH, kept)

    def evaluate(self, *settings: str) -> str:
        """The command that evaluates the run anew."""
        plugins = [word for word in self.words if _key(word) == "plugins"]
        return _command(EVALUATE, [*plugins, f"run={shown(self.finished.folder)}", *settings])

    def has(self, section: str, name: str) -> bool:
        """Whether model or data take this setting."""
        return hasattr(getattr(self.config, section), name)

    def _with(self, changes: Sequence[str]) -> list[str]:
        changed = {_key(change): change for change in changes}
        # Settings of one model or schedule do not fit another.
        others = [
            f"{group}."
            for group, now in (("model", self.config.model.name), ("schedule", self.config.schedule.name))
            if group in changed and changed[group] != f"{group}={now}"
        ]
        kept = [
            changed.pop(_key(word), word)
            for word in self.words
            if _key(word) in changed or not _key(word).startswith(tuple(others))
        ]
        return [*kept, *changed.values()]


def _key(word: str) -> str:
    return word.partition("=")[0]


def _command(program: str, words: Sequence[str]) -> str:
    return " ".join([program, *map(shlex.quote, words)])


def _resized(ways: Ways, factor: float, other: Mapping[str, str]) -> str | None:
    """The same kind of model, larger or smaller."""
    config, model = ways.config.model, ways.model
    if model in (*DEEPER, *SHALLOWER):
        return ways.train(f"model={other[model]}") if model in other else None
    if model == "mlp":
        hidden = [max(int(factor * width), 1) for width in getattr(config, "hidden", (128,)) or (128 / factor,)]
        return ways.train("model=mlp", f"model.hidden={typed(hidden)}")
    if model == "lenet":
        return ways.train("model=lenet", f"model.width={factor * getattr(config, 'width', 1.0):g}")
    if model == "lstm":
        return ways.train("model=lstm", f"model.hidden={max(int(factor * getattr(config, 'hidden', 128)), 1)}")
    return None


def _less_regularisation(ways: Ways) -> str | None:
    settings = ("optimizer.weight_decay", "model.dropout", "trainer.label_smoothing")
    values = dotted(ways.config.to_dict())
    found = [f"{name}=0" for name in settings if values.get(name, 0.0) > 0]
    return ways.train(*found) if found else None


def _look(ways: Ways) -> str | None:
    parts = [part for part in ways.described if part not in (LABELS, CURVE)]
    return f"on this page: {', '.join(parts)}" if parts else None


def _other_architecture(ways: Ways) -> str | None:
    kind = ways.data.task.input_kind
    if kind == "image" and not ways.model.startswith("resnet"):
        return ways.train(f"model={'lenet' if ways.model == 'mlp' else 'resnet20'}")
    if kind == "series":
        return ways.train(f"model={'mlp' if ways.model == 'lstm' else 'lstm'}")
    return None


def _tune_longer(ways: Ways) -> str:
    epochs = ways.config.trainer.max_epochs
    return ways.search(*([] if epochs is None else [f"trainer.max_epochs={2 * epochs}"]))


def _more_data(ways: Ways) -> str | tuple[str, str]:
    limit = getattr(ways.config.data, "limit", None)
    if limit is not None and "limit" in ways.data.notes:  # there are more
        return ways.train(f"data.limit={2 * limit}")
    if CURVE in ways.described:
        return f"on this page: {CURVE}"
    return ways.evaluate("size=none", "curve=true"), "read there what twice the rows would bring"


def _normalisation(ways: Ways) -> str | None:
    if ways.model != "mlp" and not ways.has("model", "normalization"):
        return None
    if getattr(ways.config.model, "normalization", "none") != "none":
        return None
    return ways.train(f"model={ways.model}", "model.normalization=batch")


def _augment(ways: Ways) -> str | None:
    task = ways.data.task
    if task.input_kind != "image" or not ways.has("data", "augment") or ways.config.data.augment:
        return None
    changes = ["shift", "rotate"] if min(task.input_shape[-2:]) >= LARGER_IMAGE else ["shift(1)"]
    return ways.train(f"data.augment={typed(changes)}")


def _regularise(ways: Ways) -> str:
    dropout = ["search.space.model.dropout=uniform(0,0.6)"] if ways.model in ("mlp", "lenet", "lstm") else []
    return ways.search("search.space.optimizer.weight_decay=log(1e-5,1)", *dropout)


def _early_stopping(ways: Ways) -> str | None:
    if ways.config.trainer.early_stopping is not None:
        return None
    return ways.train("trainer.early_stopping=5", "trainer.restore_best=true")


def _further_features(ways: Ways) -> str | None:
    return "further columns in the table" if ways.config.data.name == "csv" else None


def _fewer_features(ways: Ways) -> str | None:
    return "leave columns out: data.drop=[NAME]" if ways.config.data.name == "csv" else None


def _ensemble(ways: Ways) -> tuple[str, str]:
    seeds = ",".join(str(ways.config.seed + k) for k in range(MEMBERS))
    # Else a member would be judged on rows that another was trained on.
    apart = "; rows of test differ from seed to seed: judge it on rows of your own" if _test_is_cut(ways) else ""
    command = _command(TRAIN, [word for word in ways.words if _key(word) != "seed"])
    return f"{command} -m seed={seeds}", f"average the probabilities of the {MEMBERS} models{apart}"


def _average(ways: Ways) -> str | None:
    return None if ways.config.trainer.ema_decay is not None else ways.train("trainer.ema_decay=0.999")


def _falling_rate(ways: Ways) -> str | None:
    trainer = ways.config.trainer
    if ways.config.schedule.name != "constant" or (trainer.max_epochs is None and trainer.max_steps is None):
        return None
    return ways.train("schedule=cosine")


def _split_anew(ways: Ways) -> str | None:
    return ways.train(f"seed={ways.config.seed + 1}") if _test_is_cut(ways) else None


def _test_is_cut(ways: Ways) -> bool:
    """Whether the test part is cut by the seed and not the data's own; the notes of the data say so."""
    cut, _, how = ways.data.notes.get("split", "").partition(" cut ")
    return "test" in cut and not how.startswith("in time order")


def _larger_val(ways: Ways) -> str | None:
    if not ways.has("data", "val_fraction") or ways.data.notes.get("split") == "official":
        return None
    share = 2 * (ways.config.data.val_fraction or 0.1)
    return ways.train(f"data.val_fraction={share:.3g}") if share <= MOST_HELD_OUT else None


def _labels(ways: Ways) -> str:
    if LABELS in ways.described:
        return f"on this page: {LABELS}; all rows: evaluation.json"
    return "mlkit.evaluate.label_errors(probabilities, labels)"


WAYS: dict[str, Way] = {
    "a bigger model": lambda ways: _resized(ways, 2, DEEPER),
    "less regularisation": _less_regularisation,
    "look at the errors": _look,
    "another architecture": _other_architecture,
    "tune, and train longer": _tune_longer,
    "further features": _further_features,
    "more training data": _more_data,
    "normalisation": _normalisation,
    "augmentation": _augment,
    "weight decay, dropout": _regularise,
    "tune": lambda ways: ways.search(),
    "early stopping": _early_stopping,
    "fewer features": _fewer_features,
    "a smaller model": lambda ways: _resized(ways, 0.5, SHALLOWER),
    "an ensemble over resampled rows": _ensemble,
    f"an ensemble of {MEMBERS} seeds": _ensemble,
    "an average of the weights": _average,
    "a rate that falls to 0": _falling_rate,
    "a better initialisation": lambda ways: None,  # our models are initialised as their activation asks
    "look at what differs, and collect rows like the target": lambda ways: "mlkit.evaluate.shift(val, target_val)",
    "synthesise rows like the target": _augment,
    "adapt: weigh the rows": lambda ways: "mlkit.evaluate.importance_weights(val, target_val)",
    "pool val and test and split them anew": _split_anew,
    "a larger validation set": _larger_val,
    "fewer trials, and the corrected score": lambda ways: "mlkit.evaluate.bias_corrected(table)",
    "relabel the rows that are likely wrong": _labels,
    "several labels a row, used as soft labels": lambda ways: "mlkit.evaluate.noise_of_votes(counts)",
    "drop them from training": _labels,
}
"""By the name of the action."""
