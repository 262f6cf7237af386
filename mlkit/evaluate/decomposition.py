"""`Decomposition`: loss split into noise, bias and variance, each with its interval, to read, print and draw.

Not here: how it is computed (`mlkit.evaluate.decompose`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mlkit.errors import DataError
from mlkit.evaluate.outputs import Floats, LossName
from mlkit.evaluate.terms import Term, dominant, lines_of, table_html, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.cartography import Cartography
    from mlkit.evaluate.pictures import Theme

NOISE = "noise"
VARIANCE = "variance"
DATA = "data part"
SEED = "seed part"
DOUBLING = "last doubling of data"
WRONG = "vote is wrong (B)"
HURTS = "variance that hurts (V_u)"
HELPS = "variance that helps (V_b)"
DISAGREEMENT = "disagreement of halves"
BIAS = {"squared": "bias²", "brier": "bias²", "cross_entropy": "bias", "zero_one": ""}

LOSS_TITLES = {
    "squared": "squared error",
    "brier": "Brier score",
    "cross_entropy": "cross-entropy",
    "zero_one": "0-1 loss",
}


def bias_and_noise(loss: LossName) -> str:
    """Name of what is left of the loss without variance, where the noise is not known."""
    return f"{BIAS[loss]} + {NOISE}"


@dataclass(frozen=True)
class Sizes:
    """How much was trained and judged.

    Args:
        models: trained.
        partitions: of the training set into halves; None for independent models.
        seeds: of each half; None likewise.
        training_rows: of each model; None where not known.
        test_rows: judged.
    """

    models: int
    partitions: int | None
    seeds: int | None
    training_rows: int | None
    test_rows: int


@dataclass(frozen=True, eq=False)
class Decomposition:
    """What a loss is made of.

    Args:
        loss: name of the loss.
        terms: that sum to ``total`` (0-1 loss: B + V_u - V_b).
        parts: of the variance: data and seed.
        extra: further terms that are not summed: the last doubling of data, the disagreement of halves.
        total: expected loss of a model trained on ``sizes.training_rows`` rows.
        full: loss of models trained on all rows, where they were trained.
        sizes: how much was trained and judged.
        notes: what the reader has to know to read the terms right.
        bias_rows: ``(m,)`` bias + noise of every test row (0-1 loss: B).
        variance_rows: ``(m,)`` variance of every test row (0-1 loss: V_u + V_b).
        table: the predictions, ``(R, 2, S, m, C)`` or ``(K, m, C)``: log-probabilities for cross-entropy,
            probabilities for Brier and 0-1, values for the squared error.
    """

    loss: LossName
    terms: tuple[Term, ...]
    parts: tuple[Term, ...]
    extra: tuple[Term, ...]
    total: Term
    full: Term | None
    sizes: Sizes
    notes: tuple[str, ...]
    bias_rows: Floats = field(repr=False)
    variance_rows: Floats = field(repr=False)
    table: Floats = field(repr=False)

    def term(self, name: str) -> Term:
        """The term, part or further term called ``name``; ``"total"`` and ``"full"`` too."""
        named = {term.name: term for term in (*self.terms, *self.parts, *self.extra)}
        named["total"] = self.total
        if self.full is not None:
            named["full"] = self.full
        if name not in named:
            raise DataError("no such term", received=repr(name), allowed=", ".join(named))
        return named[name]

    def rows(self) -> Cartography:
        """Bias and variance of every test row: which are easy, which systematically wrong, which variable."""
        from mlkit.evaluate.cartography import cartography

        return cartography(self)

    def verdict(self) -> str:
        """One sentence: which term is the largest, and whether that is resolved."""
        if self.loss == "zero_one":
            return "0-1 loss has no additive split: compare B with V_u - V_b, which is what voting would gain"
        return dominant(self.terms, unit=LOSS_TITLES[self.loss])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without the tables."""
        return {
            "loss": self.loss,
            "terms": [term.to_dict() for term in self.terms],
            "parts": [term.to_dict() for term in self.parts],
            "extra": [term.to_dict() for term in self.extra],
            "total": self.total.to_dict(),
            "full": None if self.full is None else self.full.to_dict(),
            "sizes": vars(self.sizes).copy(),
            "verdict": self.verdict(),
            "notes": list(self.notes),
        }

    def figure(self, *, theme: Theme = "light") -> Figure:
        """The terms as a bar, and below it the parts of the variance.

        Args:
            theme: ``"light"``, ``"dark"``, or ``"neutral"``, which is transparent and can be read on both.
        """
        from mlkit.evaluate.pictures import stacked

        signed = [
            replace(term, value=-term.value, low=None, high=None) if term.name == HELPS else term for term in self.terms
        ]
        rows = [("loss", signed), *([("variance", self.parts)] if self.parts else [])]
        return stacked(rows, unit=LOSS_TITLES[self.loss], theme=theme)

    def __str__(self) -> str:
        everything = self._everything()
        body = lines_of(everything, parts_of={DATA: VARIANCE, SEED: VARIANCE})
        notes = [line for text in self._all_notes() for line in wrapped(text, rest="  ")]
        return "\n".join([*wrapped(self._title(), rest="  "), *body, *notes])

    def _repr_html_(self) -> str:
        from mlkit.evaluate.pictures import svg

        picture = svg(self.figure(theme="neutral"))
        return table_html(self._everything(), title=self._title(), notes=self._all_notes(), picture=picture)

    def _everything(self) -> list[Term]:
        full = [] if self.full is None else [self.full]
        at = [term.name for term in self.terms].index(VARIANCE) + 1 if self.parts else len(self.terms)
        return [*self.terms[:at], *self.parts, *self.terms[at:], self.total, *full, *self.extra]

    def _all_notes(self) -> list[str]:
        return [self.verdict(), *self.notes, "[low, high] is a 95 % interval"]

    def _title(self) -> str:
        sizes = self.sizes
        how = (
            f"{sizes.models} independent models"
            if sizes.partitions is None
            else f"{sizes.models} models: {sizes.partitions} partitions into halves x 2 x {sizes.seeds} seeds"
        )
        return f"{LOSS_TITLES[self.loss]} of {how}; {sizes.test_rows:,} test rows"
