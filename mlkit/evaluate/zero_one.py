"""0-1 loss: what the vote of the models gets wrong, and the variance that hurts and that helps (Domingos' effects).

There is no additive split of this loss into noise, bias and variance (Heskes 2025, arXiv:2501.18581); these are effects
of the models at hand. Not here: losses that have such a split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlkit.evaluate.outputs import Classes, Floats

FEWEST_MODELS = 15  # with 11 labels at 0.6 the wrong vote wins 15 % of the time at 3 models, 1.5 % at 15


@dataclass(frozen=True, eq=False)
class VoteTerms:
    """Effects of every unit (partition or model) and test row.

    Args:
        loss: ``(U, m)`` share of the unit's models that are wrong.
        vote: ``(m,)`` the class that most models choose; of a tie the smallest.
        wrong: ``(m,)`` 1 where the vote is wrong: B.
        hurts: ``(U, m)`` share of models that differ from a right vote: V_u.
        helps: ``(U, m)`` share of models that are right against a wrong vote: V_b.
        halves: ``(R, 2, m)`` share of wrong models in each half; None for independent models.
        disagreement: ``(R, m)`` share of pairs from complementary halves that choose different classes; None likewise.
    """

    loss: Floats
    vote: Classes
    wrong: Floats
    hurts: Floats
    helps: Floats
    halves: Floats | None
    disagreement: Floats | None


def pair_terms(table: Floats, classes: Classes) -> VoteTerms:
    """Effects from halves.

    Args:
        table: probabilities ``(R, 2, S, m, C)``; the largest is the choice, of equal ones the first.
        classes: labels ``(m,)``.
    """
    chosen = table.argmax(-1)
    units, _, seeds, rows = chosen.shape
    effects = _effects(chosen.reshape(units, 2 * seeds, rows), classes, table.shape[-1])
    pairs = [(chosen[:, 0, s] != chosen[:, 1, t]).astype(np.float64) for s in range(seeds) for t in range(seeds)]
    return VoteTerms(*effects, (chosen != classes).mean(2), np.mean(pairs, axis=0))


def model_terms(table: Floats, classes: Classes) -> VoteTerms:
    """Effects from independent models ``(K, m, C)``."""
    return VoteTerms(*_effects(table.argmax(-1)[:, None], classes, table.shape[-1]), None, None)


def _effects(chosen: Classes, classes: Classes, columns: int) -> tuple[Floats, Classes, Floats, Floats, Floats]:
    """Loss, vote, B, V_u, V_b of choices ``(U, models, m)``."""
    counts = np.stack([(chosen == label).sum((0, 1)) for label in range(columns)])
    vote = counts.argmax(0)
    right = vote == classes
    loss = (chosen != classes).mean(1)
    hurts = np.where(right, (chosen != vote).mean(1), 0.0)
    helps = np.where(right, 0.0, (chosen == classes).mean(1))
    return loss, vote, (~right).astype(np.float64), hurts, helps
