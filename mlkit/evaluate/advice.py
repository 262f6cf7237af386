"""Advice: what to do next, from the terms of an error, each action with its reason and the number behind it.

Not here: the lists of actions (`mlkit.evaluate.actions`), nor trying them.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mlkit.errors import DataError
from mlkit.evaluate.actions import ACTIONS, LABEL_ERRORS, Action
from mlkit.evaluate.decomposition import LOSS_TITLES, VARIANCE, Decomposition
from mlkit.evaluate.ladder import BIAS, BOTH, GAP, IRREDUCIBLE, Ladder
from mlkit.evaluate.terms import Term, decimals_of, wrapped

REACHED = 0.8  # of the error is noise that no model removes: further tuning can win a fifth at most


@dataclass(frozen=True)
class Step:
    """One action on one term.

    Args:
        action: what to do.
        term: that it is to lower.
        unit: of the term.
        at_least: lower bound of the term as a share of the whole error.
        score: ``at_least`` times the share of the term that the action may remove.
    """

    action: Action
    term: Term
    unit: str
    at_least: float
    score: float

    def reason(self) -> str:
        """The number behind the action, in a sentence."""
        shown = f"{self.term.value:.{decimals_of([self.term])}f}"
        ends = ""
        if self.term.low is not None and self.term.high is not None:
            decimals = decimals_of([self.term])
            ends = f" [{self.term.low:.{decimals}f}, {self.term.high:.{decimals}f}]"
        why = f": {self.action.why}" if self.action.why else ""
        return (
            f"{self.term.name} {shown}{ends} is at least {self.at_least:.0%} of the {self.unit}; this may remove about "
            f"{self.action.share:.0%} of it ({self.action.basis}{why})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "action": self.action.name,
            "call": self.action.call,
            "then": self.action.then,
            "share": self.action.share,
            "basis": self.action.basis,
            "term": self.term.to_dict(),
            "unit": self.unit,
            "at_least": self.at_least,
            "score": self.score,
            "reason": self.reason(),
        }


@dataclass(frozen=True)
class Advice:
    """What to do next.

    Args:
        steps: the best first; empty where no term is resolved.
        dominant: name of the term with the largest lower bound; None where no term is resolved.
        notes: what else follows from the terms.
    """

    steps: tuple[Step, ...]
    dominant: str | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "dominant": self.dominant,
            "steps": [step.to_dict() for step in self.steps],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = ["what to do next"]
        for number, step in enumerate(self.steps, 1):
            lines += wrapped(f"{number}. {step.action.name}", first="  ", rest="     ")
            lines += wrapped(step.reason(), first="     ", rest="     ")
            # A command in one line, however long, so that it can be copied.
            call = step.action.call
            lines += [f"     {call}"] if step.action.is_command else wrapped(call, first="     ", rest="     ")
            if step.action.then:
                lines += wrapped(f"then {step.action.then}", first="     ", rest="     ")
        return "\n".join([*lines, *(line for note in self.notes for line in wrapped(note, first="  ", rest="  "))])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{html.escape(step.action.name)}</b><div>{html.escape(step.reason())}</div>"
            f"<div><code>{html.escape(step.action.call)}</code></div>"
            f"<div>{html.escape(f'then {step.action.then}' if step.action.then else '')}</div></li>"
            for step in self.steps
        )
        notes = "".join(f'<div style="opacity:0.75">{html.escape(note)}</div>' for note in self.notes)
        return f'<div style="max-width:60em"><b>what to do next</b><ol>{items}</ol>{notes}</div>'


def advise(
    ladder: Ladder | None = None,
    decomposition: Decomposition | None = None,
    *,
    others: Sequence[Term] = (),
    most: int = 3,
    way: Callable[[Action], Action | None] = lambda action: action,
) -> Advice:
    """Order the actions by what they are sure to be worth: lower bound of a term times the share they may remove.

    Terms of different losses are compared as shares of their own whole. Only resolved terms count. With a
    decomposition its variance stands in for the ladder's generalisation gap, since the two overlap. What label errors
    explain is taken off the avoidable bias: no model removes it.

    Args:
        ladder: steps between the splits.
        decomposition: of a loss; 0-1 loss has no additive parts and adds nothing.
        others: further terms in the unit of the ladder, such as ``label_errors(...).term``.
        most: actions to name.
        way: the action as it is carried out on the user's own set-up, with a call of its own; None leaves it out.

    Raises:
        DataError: neither ladder nor decomposition.

    >>> from mlkit.evaluate.ladder import error_ladder
    >>> found = advise(error_ladder(train=(300, 1000), val=(310, 1000), human=0.02))
    >>> found.dominant, found.steps[0].action.name
    ('avoidable bias', 'a bigger model')
    """
    if ladder is None and decomposition is None:
        raise DataError("no terms to advise on", received="nothing", allowed="a ladder, a decomposition, or both")
    if most < 1:
        raise DataError("no actions were asked for", received=f"most={most}", allowed="1 or more")
    parts = _parts(ladder, decomposition, others)
    weighed = [(_at_least(term, total), term, unit) for term, total, unit in parts if term.name in ACTIONS]
    weighed = _without_label_errors(weighed)
    noise = _noise_share(ladder)
    # Noise is acted on where it is nearly all there is: no model removes it, and labels are dear.
    weighed = [one for one in weighed if one[0] > 0 and (one[1].name != IRREDUCIBLE or noise >= REACHED)]
    steps = [
        Step(fitting, term, unit, at_least, at_least * fitting.share)
        for at_least, term, unit in weighed
        for action in ACTIONS[term.name]
        if (fitting := way(action)) is not None
    ]
    chosen = _best(steps, most)
    # What nobody can remove is no problem to be solved first, however large it is.
    avoidable = [one for one in weighed if one[1].name != IRREDUCIBLE] or weighed
    leader = max(avoidable, key=lambda one: one[0])[1].name if avoidable else None
    notes = _notes([term for term, _, _ in parts], chosen, resolved=[one[1] for one in weighed])
    if noise >= REACHED and ladder is not None:
        notes.append(f"at least {noise:.0%} of the {ladder.last} error is irreducible: further tuning can win little")
    return Advice(tuple(chosen), leader, tuple(notes))


def _parts(
    ladder: Ladder | None, decomposition: Decomposition | None, others: Sequence[Term]
) -> list[tuple[Term, float, str]]:
    """Every term that counts, with the whole of which it is a part and the name of that whole."""
    split = decomposition is not None and decomposition.loss != "zero_one"
    found: list[tuple[Term, float, str]] = []
    if ladder is not None:
        unit = f"{ladder.last} error" if ladder.is_rate else f"{ladder.last} loss"
        kept = [term for term in ladder.terms if not (split and term.name == GAP)]
        found += [(term, ladder.total.value, unit) for term in (*kept, *others)]
    if decomposition is not None and split:
        has_bias = any(term.name in (BIAS, BOTH) for term, _, _ in found)
        terms = [term for term in decomposition.terms if term.name == VARIANCE or not has_bias]
        if decomposition.parts:
            terms = [*(term for term in terms if term.name != VARIANCE), *decomposition.parts]
        unit = LOSS_TITLES[decomposition.loss]
        if decomposition.sizes.partitions is not None:
            unit += " of models trained on half the rows"
        found += [(term, decomposition.total.value, unit) for term in terms]
    if ladder is None and others and decomposition is not None:
        found += [(term, 1.0, "rows") for term in others]
    return found


def _at_least(term: Term, total: float) -> float:
    """Lower bound as a share of the whole; 0 where the term is not resolved. What is given as exact is its own bound.

    A telescoping ladder may have negative steps, so that a share can pass 1: it is cut there.
    """
    if not term.resolved or total <= 0:
        return 0.0
    bound = term.value if term.low is None else term.low
    return min(max(bound / total, 0.0), 1.0)


def _noise_share(ladder: Ladder | None) -> float:
    """At least how much of the error is irreducible: lower bound of the one by upper bound of the other."""
    if ladder is None or ladder.terms[0].name != IRREDUCIBLE:
        return 0.0
    whole = ladder.total.value if ladder.total.high is None else ladder.total.high
    return _at_least(ladder.terms[0], whole)


def _without_label_errors(weighed: list[tuple[float, Term, str]]) -> list[tuple[float, Term, str]]:
    found = max((at_least for at_least, term, _ in weighed if term.name == LABEL_ERRORS), default=0.0)
    return [(one[0] - found if one[1].name in (BIAS, BOTH) else one[0], *one[1:]) for one in weighed]


def _best(steps: Sequence[Step], most: int) -> list[Step]:
    """The highest scores, an action that serves two terms only once; ties keep the handbook's order."""
    chosen: dict[str, Step] = {}
    for step in sorted(steps, key=lambda one: -one.score):
        chosen.setdefault(step.action.name, step)
    return list(chosen.values())[:most]


def _notes(terms: Sequence[Term], steps: Sequence[Step], *, resolved: Sequence[Term]) -> list[str]:
    notes = []
    known = {term.name: term for term in terms}
    if all(term.name == IRREDUCIBLE for term in resolved):
        needed = [term for term in terms if term.rows_to_resolve is not None]
        notes.append("no avoidable term is resolved: more evaluation rows come first" + _how_many(needed))
    if steps:
        notes.append("shares are starting points, not measurements: try the first, and measure what it brought")
    if BOTH in known:
        notes.append(f"'{BOTH}' is one step: give human= to learn how much of it a model could remove")
    return notes


def _how_many(needed: Sequence[Term]) -> str:
    if not needed:
        return ""
    first = min(needed, key=lambda term: term.rows_to_resolve or 0)
    return f"; {first.rows_to_resolve:,} in each set would resolve '{first.name}' at its present value"
