"""The map of rows: which test rows are easy, which systematically wrong, which merely variable.

Not here: likely label errors, which are looked for among the systematic ones (the error analysis).

Source: the idea of a data map is Swayamdipta et al., EMNLP 2020; here the axes are the terms of the loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import ConfigError
from mlkit.evaluate.decomposition import LOSS_TITLES, Decomposition
from mlkit.evaluate.outputs import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mlkit.evaluate.pictures import Theme

Kind = Literal["easy", "systematic", "variable"]
KINDS: tuple[Kind, ...] = ("easy", "systematic", "variable")
ADVICE = {
    "easy": "below the cut",
    "systematic": "most of the loss stays whatever is trained on: bias, noise or a wrong label",
    "variable": "most of the loss is variance: more data or an ensemble helps",
}
# The loss of a row at which the models stop being right on the whole: the true class has probability 1/2.
CUTS = {"cross_entropy": math.log(2), "brier": 0.5, "zero_one": 0.5}


@dataclass(frozen=True, eq=False)
class Cartography:
    """The rows by kind.

    A row is easy when its loss is below ``cut``; of the others it is systematic where bias + noise is at least the
    variance, else variable. Of a single row the terms come from few models: counts are to be trusted, single rows less.

    Args:
        loss: name of the loss.
        cut: loss below which a row is easy: ln 2 for cross-entropy and 1/2 for Brier and 0-1, where the true class has
            probability 1/2; the mean loss for the squared error.
        bias: ``(m,)`` bias + noise; may be below 0 by chance.
        variance: ``(m,)``.
        kinds: ``(m,)`` kind of each row.
    """

    loss: str
    cut: float
    bias: Floats = field(repr=False)
    variance: Floats = field(repr=False)
    kinds: NDArray[np.str_] = field(repr=False)

    @property
    def counts(self) -> dict[Kind, int]:
        """Rows of each kind."""
        return {kind: int((self.kinds == kind).sum()) for kind in KINDS}

    def rows(self, kind: Kind) -> NDArray[np.int64]:
        """The rows of a kind, the largest loss first.

        Raises:
            ConfigError: no such kind.
        """
        if kind not in KINDS:
            raise ConfigError("no such kind of rows", received=repr(kind), allowed=", ".join(KINDS))
        found = np.flatnonzero(self.kinds == kind)
        return found[np.argsort(-(self.bias + self.variance)[found], kind="stable")]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the rows included."""
        return {
            "loss": self.loss,
            "cut": self.cut,
            "counts": dict(self.counts),
            "rows": {kind: self.rows(kind).tolist() for kind in KINDS},
        }

    def figure(self, *, theme: Theme = "light") -> Figure:
        """Every row by its variance and its bias + noise."""
        from mlkit.evaluate.pictures import row_map

        return row_map(self, unit=LOSS_TITLES[self.loss], theme=theme)

    def __str__(self) -> str:
        total, whole = len(self.kinds), float((self.bias + self.variance).sum())
        lines = [f"{total:,} test rows by {LOSS_TITLES[self.loss]} (easy: below {self.cut:.3g})"]
        for kind, count in self.counts.items():
            chosen = self.kinds == kind
            share = float((self.bias + self.variance)[chosen].sum()) / whole if whole else 0.0
            lines.append(f"  {kind:<10} {count:>8,} rows {count / total:>4.0%}, {share:>4.0%} of the loss")
            lines.append(f"    {ADVICE[kind]}")
        worst = ", ".join(map(str, self.rows("systematic")[:8].tolist())) or "none"
        return "\n".join([*lines, f"  worst systematic rows: {worst}"])


def cartography(found: Decomposition) -> Cartography:
    """The map of the rows of a decomposition; see `Cartography`."""
    loss = found.bias_rows + found.variance_rows if found.loss != "zero_one" else found.bias_rows
    cut = CUTS.get(found.loss, float(loss.mean()))
    if found.loss == "zero_one":  # wrong by vote is systematic; a right vote from which half differ is variable
        kinds = np.where(found.bias_rows >= 0.5, "systematic", np.where(found.variance_rows > 0, "variable", "easy"))
    else:
        kinds = np.where(loss < cut, "easy", np.where(found.bias_rows >= found.variance_rows, "systematic", "variable"))
    return Cartography(found.loss, cut, found.bias_rows, found.variance_rows, kinds)
