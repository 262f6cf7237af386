"""The error ladder: from human error up to test error in steps, each with its interval, without training anything.

Not here: bias and variance over training sets (`mlkit.evaluate.decompose`); the steps are gaps between the splits of
one trained model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlkit.errors import DataError
from mlkit.evaluate.differences import Evidence, difference, level
from mlkit.evaluate.evidence import Errors, evidence_of
from mlkit.evaluate.terms import Term, decimals_of, dominant, fixed, lines_of, table_html, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.pictures import Theme

IRREDUCIBLE = "irreducible error"
BIAS = "avoidable bias"
BOTH = "irreducible error + avoidable bias"
GAP = "generalisation gap"
SHIFT = "shift"
OVERFITTING = "validation overfitting"


@dataclass(frozen=True)
class Ladder:
    """The steps from human to test error; they sum to ``total`` exactly.

    Args:
        terms: the steps, in the order in which they are taken.
        total: error of the last split.
        last: name of the last split.
        counts: rows by split; 0 where the error was given as exact.
        is_rate: whether the unit is a rate of errors; else it is a loss.
        notes: what the reader has to know to read the steps right.
    """

    terms: tuple[Term, ...]
    total: Term
    last: str
    counts: dict[str, int]
    is_rate: bool
    notes: tuple[str, ...]

    def term(self, name: str) -> Term:
        """The step called ``name``."""
        return _named(self.terms, name)

    def verdict(self) -> str:
        """One sentence: which step is the largest, and whether that is resolved."""
        return dominant([term for term in self.terms if term.name != IRREDUCIBLE], unit=self._unit())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "terms": [term.to_dict() for term in self.terms],
            "total": self.total.to_dict(),
            "last": self.last,
            "counts": dict(self.counts),
            "is_rate": self.is_rate,
            "verdict": self.verdict(),
            "notes": list(self.notes),
        }

    def figure(self, *, theme: Theme = "light") -> Figure:
        """The steps as a waterfall, each with its interval.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.
        """
        from mlkit.evaluate.pictures import waterfall

        return waterfall(self.terms, self.total, unit=self._unit(), theme=theme)

    def __str__(self) -> str:
        rows = ", ".join(f"{name} {count:,}" for name, count in self.counts.items() if count)
        head = f"error ladder ({self._unit()}; rows: {rows})"
        body = lines_of([*self.terms, self.total])
        rule = "  " + "-" * (max(map(len, body)) - 2)
        notes = [line for text in self._all_notes() for line in wrapped(text, rest="  ")]
        return "\n".join([*wrapped(head, rest="  "), *body[:-1], rule, body[-1], *notes])

    def _repr_html_(self) -> str:
        from mlkit.evaluate.pictures import svg

        title = f"error ladder ({self._unit()})"
        picture = svg(self.figure(theme="neutral"))
        return table_html([*self.terms, self.total], title=title, notes=self._all_notes(), picture=picture)

    def _all_notes(self) -> list[str]:
        return [self.verdict(), *self.notes, "[low, high] is a 95 % interval over rows, for this one trained model"]

    def _unit(self) -> str:
        return "error rate" if self.is_rate else "loss"


def error_ladder(
    *,
    train: Errors,
    val: Errors,
    target_val: Errors | None = None,
    test: Errors | None = None,
    human: Errors | float | None = None,
    human_on_train: bool = False,
) -> Ladder:
    """The steps from human error to test error, for one trained model.

    ``irreducible = human``, ``avoidable bias = train - human``, ``generalisation gap = val - train``, ``shift =
    target_val - val``, ``validation overfitting = test - target_val``. They telescope: their sum is the test error.

    Args:
        train: one error (0 or 1) or loss a row of the training split, ``(n,)``, judged as the others are (evaluation
            mode, no augmentation); or the counts ``(errors, n)``.
        val: likewise of held-out rows of the training distribution.
        target_val: likewise of held-out rows of the test distribution. Without it shift and validation overfitting
            cannot be told apart, and the ladder says so.
        test: likewise; without it the ladder ends with the last validation split.
        human: error of people, or a goal; one number is taken as exact. None: irreducible error and avoidable bias stay
            one step.
        human_on_train: ``human`` is known for the very rows of ``train``, in the same order; then the comparison is
            within rows, which is sharper.

    Raises:
        DataError: errors that cannot be read, rates mixed with losses, or rows that were to be paired and are not as
            many.

    Source: A. Ng, Machine Learning Yearning (2018), chapters 20 to 43; intervals of Wilson (1927), Newcombe (1998),
    Bonett and Price (2012) and Welch (1947).

    >>> ladder = error_ladder(train=(30, 1000), val=(90, 1000), test=(95, 1000), human=0.02)
    >>> print(ladder.term("generalisation gap"))
    generalisation gap 0.0600 [0.0395, 0.0813]
    """
    given = {"train": train, "val": val, "target_val": target_val, "test": test}
    splits = {name: evidence_of(errors, name) for name, errors in given.items() if errors is not None}
    person = None if human is None else evidence_of(human, "human")
    _check_units(splits, person)
    if human_on_train:
        _check_pairs(person, splits["train"])
    terms = _foot(person, splits["train"], paired=human_on_train)
    terms.append(difference(GAP, splits["val"], splits["train"]))
    if "target_val" in splits:
        terms.append(difference(SHIFT, splits["target_val"], splits["val"]))
    if "test" in splits:
        terms.append(difference(OVERFITTING, splits["test"], splits.get("target_val", splits["val"])))
    last = list(splits)[-1]
    counts = {**({} if person is None else {"human": person.count}), **{name: s.count for name, s in splits.items()}}
    return Ladder(
        tuple(terms),
        level(f"{last} error", splits[last]),
        last,
        counts,
        all(one.is_rate for one in splits.values()),
        tuple(_notes(splits, person)),
    )


def _foot(person: Evidence | None, train: Evidence, *, paired: bool) -> list[Term]:
    if person is None:
        return [level(BOTH, train)]
    return [level(IRREDUCIBLE, person), difference(BIAS, train, person, same_rows=paired)]


def _notes(splits: dict[str, Evidence], person: Evidence | None) -> list[str]:
    notes = []
    if person is None:
        notes.append("no human error was given: how much of the training error could be avoided is not known")
    elif person.is_exact:
        shown = fixed(person.mean, decimals_of([]))
        notes.append(f"the human error, {shown}, was given without a number of rows and is taken as exact")
    if "test" in splits and "target_val" not in splits:
        notes.append(f"no target_val: a shift between val and test, if there is one, is part of '{OVERFITTING}'")
    if "test" not in splits:
        notes.append("no test split: validation overfitting is not measured")
    return notes


def _check_units(splits: dict[str, Evidence], person: Evidence | None) -> None:
    rates = {name: one.is_rate for name, one in splits.items() if one.mean > 0}
    if len(set(rates.values())) > 1:
        raise DataError(
            "some splits have errors and others losses",
            received=", ".join(f"{name}: {'errors' if rate else 'losses'}" for name, rate in rates.items()),
            allowed="errors (0 or 1) for all splits, or losses for all",
            todo="compute the same quantity for every split",
        )
    if person is not None and person.mean > 1 and all(rates.values()):
        raise DataError(
            "the human error is not a rate",
            received=person.mean,
            allowed="a number from 0 to 1, as the other errors are rates",
            todo="divide per cent by 100",
        )


def _check_pairs(person: Evidence | None, train: Evidence) -> None:
    if person is None or person.rows is None or train.rows is None or len(person.rows) != len(train.rows):
        raise DataError(
            "human and train cannot be compared row by row",
            received="human "
            + ("missing" if person is None else f"of {person.count} rows")
            + f", train of {train.count} rows",
            allowed="one error a row for both, of the same rows in the same order",
            todo="give both as arrays of one length, or leave human_on_train off",
        )


def _named(terms: tuple[Term, ...], name: str) -> Term:
    for term in terms:
        if term.name == name:
            return term
    raise DataError("no such term", received=repr(name), allowed=", ".join(term.name for term in terms))
