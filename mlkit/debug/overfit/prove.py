"""`prove`: which smallest change makes a setup fit its batch? Rules that are certain first, then controlled trials.

Not here: the changes (`mlkit.debug.overfit.changes`) and how the answer is shown (`.cause`).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import torch
from torch import nn

from mlkit.data.splits import Batch
from mlkit.debug.check import check
from mlkit.debug.findings import Finding
from mlkit.debug.overfit.cause import CauseReport, Cure, Trial
from mlkit.debug.overfit.changes import Change, changes_for
from mlkit.debug.overfit.choose import rows_of
from mlkit.debug.overfit.course import Course, Setup, train
from mlkit.debug.overfit.edits import Edit
from mlkit.debug.overfit.heights import heights
from mlkit.debug.overfit.run import STEPS, MakeOptimizer, overfit_batch, prepared, stick_of
from mlkit.debug.overfit.verdict import LOST, Verdict, name_course
from mlkit.debug.overfit.yardstick import Yardstick
from mlkit.engine.step import LossFunction
from mlkit.metrics.intervals import student
from mlkit.runtime.keys import generator

REPLICATES = 3
PAIRS = 6
_FEWEST_STEPS = 60
# What a rule of the doctor proves, and the change that takes its cause away.
_PROVEN = {
    "loss.wrong-sign": ("the loss with its sign turned",),
    "loss.probabilities-into-cross-entropy": ("the output without", "the usual loss, for outputs"),
    "loss.sigmoid-before-bce-with-logits": ("the output without",),
    "loss.wrong-space-into-nll": ("the usual loss",),
    "loss.wrong-space-into-kl": ("the usual loss, for outputs",),
    "loss.target-domain": ("targets of 0 and 1", "standardised targets"),
    "loss.broadcast": ("the usual loss",),
    "shape.softmax-axis": ("LogSoftmax over", "Softmax over", "the output without"),
    "loss.single-unit-softmax": ("the output without",),
    "loss.unreachable-target": ("the output without", "standardised targets"),
    "loss.target-scale": ("standardised targets",),
    "loss.mismatched-task": ("the usual loss",),
    "data.unscaled-input": ("standardised inputs",),
    "mode.dropout-too-high": ("no dropout",),
    "model.no-nonlinearity": ("a ReLU between dense layers",),
    "model.symmetric-init": ("default initialisation",),
    "model.init-too-large": ("default initialisation",),
    "step.parameter-not-optimised": ("all parameters trained",),
    "step.learning-rate-too-high": ("learning rate x0.",),
    "step.learning-rate-too-low": ("learning rate x1",),
    "step.regularisation-dominates": ("no weight decay",),
}


def prove(
    model: nn.Module,
    batch: object,
    loss_fn: LossFunction | None = None,
    optimizer: torch.optim.Optimizer | MakeOptimizer | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    seconds: float = 60.0,
    clip_norm: float | None = None,
    more: Sequence[Change] = (),
    thorough: bool = True,
) -> CauseReport:
    """Overfit one batch; where that fails, try one change at a time and tell the smallest that cures.

    First the rules of `mlkit.check` run: what they find needs no trial, and the trial that takes its cause away comes
    first. What they prove is told of a batch that is fitted, too: many a mistake does not show on one batch. Then every
    change starts from the same weights with the same seed and makes as many steps. A change cures where the batch is
    fitted with it, by accuracy or R² and in both modes, and is not without it; it must be fitted as well on two random
    three-quarters of the batch with other seeds. Of those that do, the smallest is told: a number before a switch, a
    switch before the loss, the loss before the data, the architecture last. Where no single change cures, pairs of the
    most helpful are tried; "none cures" is an answer.

    Args:
        model: as for `overfit_batch`, like all that follows.
        batch: likewise.
        loss_fn: likewise.
        optimizer: likewise.
        steps: of each trial, at most; fewer where ``seconds`` does not last for all.
        seed: of dropout and of the choice of examples.
        seconds: for the trials; those that it does not last for are told as not tried.
        clip_norm: likewise.
        more: changes of yours; each comes before those of the same size.
        thorough: try all; False ends with the cure, which is the same one.

    Returns:
        The report; ``report.cure`` is None where the batch is fitted anyway, or nothing cures.

    Raises:
        MlkitError: as `overfit_batch`.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> x, y = torch.randn(24, 4), torch.arange(24) % 3
        >>> slow = torch.optim.SGD(model.parameters(), lr=1e-6)
        >>> report = prove(model, (x, y), nn.CrossEntropyLoss(), slow)
        >>> report.overfit.symptom, report.cure is not None
        ('plateaus', True)
    """
    report = overfit_batch(
        model, batch, loss_fn, optimizer, steps=steps, seed=seed, seconds=seconds, clip_norm=clip_norm
    )
    begin = time.perf_counter()
    setup = prepared(model, batch, loss_fn, optimizer, seed=seed, clip_norm=clip_norm)
    stick = stick_of(setup)
    findings = _rules(setup)
    if report.is_fine:
        findings = tuple(finding for finding in findings if finding.severity == "error")
        if not findings:
            return CauseReport(report, (), ())
    changes = _proven_first(sorted([*more, *changes_for(setup, stick)], key=lambda one: one.size), findings)
    a_step = report.course.seconds / max(len(report.course.losses), 1)
    length = int(min(steps, max(_FEWEST_STEPS, seconds / (len(changes) + 2 * REPLICATES) / max(a_step, 1e-6))))
    lab = _Lab(setup, stick, length, seed, until=begin + seconds)
    if report.is_fine:  # nothing to cure by the curve: only what a rule proves is changed
        changes = [change for change in changes if _is_proven(change, findings)]
    trials, cure = lab.tried(changes, thorough=thorough)
    if cure is None and lab.time_is_left and not report.is_fine:
        tried, cure = lab.tried(_pairs(trials), thorough=thorough)
        trials += tried
    return CauseReport(report, findings, tuple(trials), cure, steps=length, seconds=time.perf_counter() - begin)


class _Lab:
    """Trials of one setup, each from the same start."""

    def __init__(self, setup: Setup, stick: Yardstick | None, steps: int, seed: int, *, until: float) -> None:
        self.setup, self.stick, self.steps, self.seed, self.until = setup, stick, steps, seed, until

    def _stick(self, setup: Setup) -> Yardstick | None:
        """The measure of a setup: its own where a change was made to the targets."""
        if torch.equal(setup.batch.targets, self.setup.batch.targets):
            return self.stick
        return stick_of(setup)

    @property
    def time_is_left(self) -> bool:
        return time.perf_counter() < self.until

    def trial(self, change: Change) -> Trial:
        """One change, on the whole batch."""
        if not self.time_is_left:
            return Trial(change, problem="not tried: the time was over")
        try:
            setup = change.edit(self.setup)
            course, verdict, share = self._run(setup, self.seed)
        except Exception as error:  # a change that does not fit the model is no cure; the reason is kept
            return Trial(change, problem=f"{type(error).__name__}: {error}")
        return Trial(change, verdict, course, share=share)

    def tried(self, changes: Sequence[Change], *, thorough: bool) -> tuple[list[Trial], Cure | None]:
        """All trials, and the first of them that cures and does so again.

        Of the learning rates that cure, the nearest to the present one is taken, so the order is enough.
        """
        if thorough:
            trials = [self.trial(change) for change in changes]
            again = (self._again(trial) for trial in trials if trial.cures)
            return trials, next((cure for cure in again if cure is not None), None)
        trials = []
        for change in changes:
            trials.append(self.trial(change))
            cure = self._again(trials[-1]) if trials[-1].cures else None
            if cure is not None:
                return trials, cure
        return trials, None

    def _again(self, trial: Trial) -> Cure | None:
        """The effect over all replicates; None where one of them is not cured, or the change helps none."""
        shares: list[tuple[float, float]] = []
        for number in range(REPLICATES):
            part = self._part(number)
            _, _, before = self._run(part.copied(), self.seed + number)
            _, verdict, after = self._run(trial.change.edit(part), self.seed + number)
            if not verdict.is_fine:
                return None
            shares.append((before, after))
        differences = [after - before for before, after in shares]
        if any(map(math.isnan, differences)):
            return Cure(trial, None)
        variance = statistics.variance(differences) / len(differences)
        return Cure(trial, student(statistics.fmean(differences), variance, len(differences)))

    def _part(self, number: int) -> Setup:
        """The setup on the whole batch, or on a random three-quarters of it."""
        if number == 0:
            return self.setup
        count = len(self.setup.batch.targets)
        order = torch.randperm(count, generator=generator(self.seed, f"part {number}"))[: max(2, (3 * count) // 4)]
        return replace(self.setup, batch=rows_of(self.setup.batch, order))

    def _run(self, setup: Setup, seed: int) -> tuple[Course, Verdict, float]:
        """Course, verdict, and how much of the batch is fitted in the worse of the modes, alone included (0 to 1)."""
        stick, left = self._stick(setup), max(0.1, self.until - time.perf_counter())
        course = train(setup, stick, steps=self.steps, seed=seed, seconds=left)
        verdict = name_course(course, stick, heights(stick, setup.batch.targets, score=course.last_score))
        if stick is None:
            return course, verdict, math.nan
        worse = min(stick.share(course.last_score), stick.share(course.last_eval_score))
        if course.lost_alone > LOST:
            worse -= course.lost_alone
        return course, verdict, max(0.0, worse) if math.isfinite(worse) else 0.0


def _rules(setup: Setup) -> tuple[Finding, ...]:
    batch: Batch = setup.batch
    twin = setup.copied()
    pair = (batch.inputs, batch.targets)
    report = check(twin.model, [pair], loss_fn=twin.loss_fn, optimizer=twin.optimizer, seconds=10.0)
    return tuple(finding for finding in report.findings if finding.severity != "info")


def _is_proven(change: Change, findings: Sequence[Finding]) -> bool:
    beginnings = [one for finding in findings for one in _PROVEN.get(finding.code, ())]
    return any(change.name.startswith(one) for one in beginnings)


def _proven_first(changes: Sequence[Change], findings: Sequence[Finding]) -> list[Change]:
    return sorted(changes, key=lambda change: not _is_proven(change, findings))


def _one_after_the_other(first: Edit, second: Edit) -> Edit:
    return lambda setup: second(first(setup))


def _pairs(trials: Sequence[Trial]) -> list[Change]:
    """The most helpful changes, two at a time; two learning rates are no pair."""
    helpful = sorted((t for t in trials if t.problem is None), key=lambda t: t.rank, reverse=True)[:PAIRS]
    found = []
    for first, second in combinations(helpful, 2):
        one, other = sorted((first.change, second.change), key=lambda change: change.size, reverse=True)
        if one.name.startswith("learning rate") and other.name.startswith("learning rate"):
            continue
        found.append(
            Change(
                f"{one.name}, and {other.name}",
                one.size + other.size,
                f"{one.cause}; and {other.cause}",
                f"{one.fix}\n{other.fix}",
                _one_after_the_other(one.edit, other.edit),  # the larger first: it makes modules anew
                override=f"{one.override} {other.override}" if one.override and other.override else None,
            )
        )
    return sorted(found, key=lambda change: change.size)[: 2 * PAIRS]
