"""The handbook's lists: for each term of an error what may be done, how much of the term it may remove, and the call.

Not here: which action comes first for a given model (`mlkit.evaluate.advice`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mlkit.evaluate.decomposition import BIAS as SQUARED_BIAS
from mlkit.evaluate.decomposition import DATA, SEED, VARIANCE
from mlkit.evaluate.ladder import BIAS, BOTH, GAP, IRREDUCIBLE, OVERFITTING, SHIFT

LABEL_ERRORS = "label errors"

Basis = Literal["judgement", "arithmetic"]


@dataclass(frozen=True)
class Action:
    """One thing to do.

    Args:
        name: of the action.
        share: of the term that it may plausibly remove, 0 to 1.
        call: the command or call that does it, or the first step of it.
        then: what is left to do by hand after it.
        basis: where the share comes from. ``"judgement"``: the order is the practitioner's handbook's, the number is
            ours, for no study measured it in general. ``"arithmetic"``: it follows from ``why``.
        why: what the share rests on.
    """

    name: str
    share: float
    call: str
    basis: Basis = "judgement"
    why: str = ""
    then: str = ""

    @property
    def is_command(self) -> bool:
        """Whether ``call`` is to be typed in a shell."""
        return self.call.startswith("python -m ")


TRAIN = "python -m mlkit.train"
SEARCH = "python -m mlkit.search"
EVALUATE = "python -m mlkit.evaluate"
MEMBERS = 5  # of an ensemble: beyond five each further member removes less than 4 % of the seed part

_CURVE, _READ_CURVE = "mlkit.evaluate.learning_curve(learner, data, …)", "read there what twice the rows would bring"
_SEEDS, _MEAN = f"{TRAIN} -m seed=0,1,2,3,4", "average the probabilities of the five models"
_BIGGER = Action("a bigger model", 0.5, f"{TRAIN} model=mlp model.hidden=[512,512]")
_LESS_REGULARISATION = Action(
    "less regularisation", 0.4, f"{TRAIN} optimizer.weight_decay=0 model=mlp model.dropout=0 trainer.label_smoothing=0"
)
_LOOK = Action("look at the errors", 0.3, "mlkit.evaluate.confusion, worst_rows and slices")
_LOOK_LATER = Action("look at the errors", 0.2, "mlkit.evaluate.confusion, worst_rows and slices")
_TUNE = Action("tune, and train longer", 0.3, f"{SEARCH} trainer.max_epochs=60")
_AUGMENT = Action("augmentation", 0.3, f"{TRAIN} data.augment=[shift,rotate]")
_REGULARISE = Action("weight decay, dropout", 0.3, f"{SEARCH} 'search.space.optimizer.weight_decay=log(1e-5,1)'")
_SMALLER = Action("a smaller model", 0.1, f"{TRAIN} model=mlp model.hidden=[32]")

UNDERFITTING = (
    _BIGGER,
    _LESS_REGULARISATION,
    _LOOK,
    Action("another architecture", 0.3, f"{TRAIN} model=resnet20"),
    _TUNE,
    Action("further features", 0.2, "columns of the table: data.path=TABLE"),
)
# Where human error is not known the step holds irreducible error too, of which no model removes anything: half the
# shares, as if half of the step were irreducible.
UNDERFITTING_OR_NOISE = tuple(replace(one, share=one.share / 2) for one in UNDERFITTING)

OVERFITTED = (
    Action("more training data", 0.4, _CURVE, then=_READ_CURVE),
    Action("normalisation", 0.3, f"{TRAIN} model=mlp model.normalization=batch"),
    _AUGMENT,
    _REGULARISE,
    _LOOK_LATER,
    Action("another architecture", 0.2, f"{TRAIN} model=resnet20"),
    Action("tune", 0.2, SEARCH),
    Action("early stopping", 0.15, f"{TRAIN} trainer.early_stopping=5 trainer.restore_best=true"),
    Action("fewer features", 0.1, "drop columns that the slices do not need"),
    _SMALLER,
)
FROM_DATA = (
    Action(
        "more training data",
        0.5,
        _CURVE,
        "arithmetic",
        "twice the rows halve a variance that falls as 1/n",
        _READ_CURVE,
    ),
    _AUGMENT,
    _REGULARISE,
    Action("an ensemble over resampled rows", 0.25, _SEEDS, then=_MEAN),
    _SMALLER,
)
FROM_SEEDS = (
    Action(
        f"an ensemble of {MEMBERS} seeds",
        1 - 1 / MEMBERS,
        _SEEDS,
        "arithmetic",
        f"the mean of {MEMBERS} independent runs on the same rows has 1/{MEMBERS} of it",
        _MEAN,
    ),
    Action("an average of the weights", 0.4, f"{TRAIN} trainer.ema_decay=0.999"),
    Action("a rate that falls to 0", 0.3, f"{TRAIN} schedule=cosine"),
    Action("a better initialisation", 0.1, "mlkit.models: He for ReLU, Glorot for tanh"),
)
SHIFTED = (
    Action("look at what differs, and collect rows like the target", 0.5, "mlkit.evaluate.shift(val, target_val)"),
    Action("synthesise rows like the target", 0.3, f"{TRAIN} data.augment=[shift,rotate]"),
    Action("adapt: weigh the rows", 0.25, "mlkit.evaluate.importance_weights(val, target_val)"),
)
LOOKED_AT_TOO_OFTEN = (
    Action("pool val and test and split them anew", 0.5, "mlkit.evaluate.resplit_check"),
    Action("a larger validation set", 0.4, f"{TRAIN} data.val_fraction=0.2"),
    Action("fewer trials, and the corrected score", 0.3, "mlkit.evaluate.bias_corrected(table)"),
)
NOISY = (
    Action("relabel the rows that are likely wrong", 0.3, "mlkit.evaluate.label_errors(probabilities, labels)"),
    Action("several labels a row, used as soft labels", 0.15, "mlkit.evaluate.noise_of_votes(counts)"),
)
MISLABELLED = (
    Action("relabel the rows that are likely wrong", 0.7, "mlkit.evaluate.label_errors(probabilities, labels)"),
    Action("drop them from training", 0.4, "mlkit.evaluate.label_errors(probabilities, labels).rows"),
)

ACTIONS: dict[str, tuple[Action, ...]] = {
    BIAS: UNDERFITTING,
    BOTH: UNDERFITTING_OR_NOISE,
    SQUARED_BIAS["squared"]: UNDERFITTING,
    SQUARED_BIAS["cross_entropy"]: UNDERFITTING,
    GAP: OVERFITTED,
    VARIANCE: FROM_DATA,
    DATA: FROM_DATA,
    SEED: FROM_SEEDS,
    SHIFT: SHIFTED,
    OVERFITTING: LOOKED_AT_TOO_OFTEN,
    IRREDUCIBLE: NOISY,
    LABEL_ERRORS: MISLABELLED,
}
"""What may be done about each term, by its name; the order is the handbook's."""
