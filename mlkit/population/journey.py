"""`Journey`: a population from rung to rung: trains its cohorts, asks who goes on, writes snapshots, tells how it goes.

Not here: one cohort's training (`mlkit.population.cohort`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlkit.errors import ConfigError, TrainingError
from mlkit.metrics.objectives import direction
from mlkit.population import snapshots
from mlkit.population.cohort import Cohort
from mlkit.population.course import Course
from mlkit.population.progress import Progress, Report
from mlkit.population.run import Run
from mlkit.population.rungs import Keep, Standing, rank_correlation

_log = logging.getLogger("mlkit.population")


class Journey:
    """A population on its way.

    Args:
        cohorts: its members, by how they are trained.
        course: what they share.
        keep: who goes on, and when it is asked.
        rungs: what was decided before a resume; new decisions are added.
        folder: where snapshots go; None: nowhere.
        about: what a resume must agree with.
        every: seconds between snapshots.
        report: told how it goes.
    """

    def __init__(
        self,
        cohorts: Sequence[Cohort],
        course: Course,
        *,
        keep: Keep | None,
        rungs: list[dict[str, Any]],
        folder: Path | None,
        about: Mapping[str, Any],
        every: float,
        report: Report | None,
    ) -> None:
        self.cohorts, self.course, self.keep, self.rungs = list(cohorts), course, keep, rungs
        self.folder, self.about, self.every, self.report = folder, about, every, report
        split = course.watched[0]
        self.metric: str = getattr(keep, "metric", f"{split}/loss")
        self.begun = self.saved = time.monotonic()
        self.before = sum(run.record.epoch for run in self.runs)

    @property
    def runs(self) -> list[Run]:
        """All members, in order."""
        return sorted((run for cohort in self.cohorts for run in cohort.all), key=lambda run: run.index)

    def go(self) -> None:
        """To the end.

        Raises:
            TrainingError: every member failed.
        """
        for cohort in self.cohorts:
            _log.info("%d members by %s: %s", len(cohort.all), cohort.choice.backend, cohort.choice.reason)
        decided = {rung["epoch"] for rung in self.rungs}
        for rung in () if self.keep is None else self.keep.rungs:
            if rung not in decided:
                self.train_to(rung)
                self._decide(rung)
                self._save()
        self.train_to(self.course.max_epochs)
        for cohort in self.cohorts:
            cohort.finish()
        self._save()
        self._refuse_if_all_failed()

    def train_to(self, epoch: int) -> None:
        """Train all active members until each has completed so many epochs."""
        waiting = list(self.cohorts)
        while waiting:
            cohort = waiting.pop(0)
            setback = cohort.advance(epoch, self._told)
            if setback is None:
                continue
            _log.warning("%d members by %s: %s", len(cohort.active), cohort.choice.backend, setback.reason)
            parts = cohort.parts_after(setback)
            place = self.cohorts.index(cohort)
            self.cohorts[place : place + 1] = parts
            waiting[:0] = [part for part in parts if part is not cohort]

    def _decide(self, epoch: int) -> None:
        """Ask who goes on, and end the others."""
        assert self.keep is not None
        active = sorted((run for cohort in self.cohorts for run in cohort.active), key=lambda run: run.index)
        if not active:
            return
        standings = [Standing(run.index, run.member, run.record.metrics) for run in active]
        kept = set(self.keep(epoch, standings))
        if not kept <= {run.index for run in active}:
            strange = sorted(kept - {run.index for run in active})
            raise ConfigError("keep names members that are not training", received=strange[:10])
        values = {standing.index: self._value(standing) for standing in standings}
        self.rungs.append(
            {
                "epoch": epoch,
                "kept": sorted(kept),
                "stopped": sorted(values.keys() - kept),
                "values": {str(index): value for index, value in values.items()},
                "rank_correlation": self._correlation(values),
            }
        )
        for cohort in self.cohorts:
            for run in cohort.active:
                if run.index not in kept:
                    run.record.end("stopped", f"not among the {len(kept)} of {len(active)} kept after epoch {epoch}")
            cohort.release()

    def end(self, members: Collection[int], reason: str) -> None:
        """Stop members, by their places, and give back the room that they took."""
        for cohort in self.cohorts:
            for run in cohort.active:
                if run.index in members:
                    run.record.end("stopped", reason)
            cohort.release()

    def _correlation(self, values: Mapping[int, float]) -> float:
        """Of the ranks of those who stand here with their ranks at the rung before."""
        if not self.rungs:
            return math.nan
        before = self.rungs[-1]["values"]
        both = [index for index in values if str(index) in before]
        return rank_correlation([before[str(index)] for index in both], [values[index] for index in both])

    def _value(self, standing: Standing) -> float:
        split, _, name = self.metric.partition("/")
        estimate = standing.metrics.get(split, {}).get(name)
        return math.nan if estimate is None else estimate.value

    def _told(self) -> None:
        """Records have moved on."""
        if self.folder is not None and time.monotonic() - self.saved >= self.every:
            self._save()
        if self.report is not None:
            self.report(self._progress())

    def _save(self) -> None:
        if self.folder is None:
            return
        snapshots.write(self.folder, self.cohorts, about=self.about, rungs=self.rungs)
        self.saved = time.monotonic()

    def _progress(self) -> Progress:
        runs = self.runs
        active = [run for run in runs if run.is_active]
        sign = 1.0 if direction(self.metric.partition("/")[2], self.course.metrics) == "min" else -1.0
        rated = [(self._value(Standing(run.index, run.member, run.record.metrics)), run.index) for run in active]
        rated = [(value, index) for value, index in rated if not math.isnan(value)]
        best, whose = min(rated, key=lambda pair: (sign * pair[0], pair[1])) if rated else (math.nan, None)
        done = sum(run.record.epoch for run in runs) - self.before
        seconds = time.monotonic() - self.begun
        rest = sum(self.course.max_epochs - run.record.epoch for run in active)
        return Progress(
            min((run.record.epoch for run in active), default=self.course.max_epochs),
            self.course.max_epochs,
            len(active),
            len(runs),
            self.metric,
            best,
            whose,
            seconds,
            seconds / done * rest if done > 0 else math.nan,
        )

    def _refuse_if_all_failed(self) -> None:
        runs = self.runs
        if any(run.record.status != "failed" for run in runs):
            return
        raise TrainingError(
            "every member failed", received=f"{runs[0].label}: {runs[0].record.reason}", todo="mlkit.fit of one of them"
        ) from runs[0].record.error
