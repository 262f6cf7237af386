from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import spearmanr

from mlkit.errors import ConfigError
from mlkit.search.halving import Fidelity, Halving, fewer_rungs, halve, rung_correlation, spearman
from mlkit.search.trials import Job, Outcome, Trial

Curve = Callable[[int, float], float | None]


def trained(
    curve: Curve, count: int, *, settings: Fidelity, sign: float = 1.0, seed: int = 0
) -> tuple[list[Trial], Halving, list[tuple[float, list[int]]]]:
    """Trials whose score is ``curve(trial, fidelity)``; None is a failure."""
    trials = [Trial(number, 0, {"x": number}) for number in range(count)]
    asked: list[tuple[float, list[int]]] = []

    def score(some: Sequence[Trial], rung: float) -> None:
        asked.append((rung, [trial.number for trial in some]))
        for trial in some:
            value = curve(trial.number, rung)
            trial.add(Outcome(Job(trial.number, trial.params, rung), value, "NaN" if value is None else None))

    rng = np.random.default_rng(seed)
    done = halve(trials, settings.rungs(), settings=settings, sign=sign, rng=rng, score=score)
    return trials, done, asked


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Fidelity(27), (3, 6, 12, 27)),
        (Fidelity(27, eta=3), (3, 9, 27)),
        (Fidelity(9), (1, 2, 4, 9)),
        (Fidelity(10, first=10), (10,)),
        (Fidelity(1), (1,)),
        (Fidelity(2), (1, 2)),
        (Fidelity(81, first=1, eta=3), (1, 3, 9, 27, 81)),
        (Fidelity(12, first=3), (3, 6, 12)),
        (Fidelity(12, first=9), (12,)),
        (Fidelity(0.9, first=0.1, eta=3), (0.1, 0.3, 0.9)),
    ],
    ids=str,
)
def test_rungs(settings: Fidelity, wanted: tuple[float, ...]) -> None:
    assert settings.rungs() == pytest.approx(wanted)
    assert [type(rung) for rung in settings.rungs()] == [type(rung) for rung in wanted]


@pytest.mark.parametrize("eta", [1.5, 2.0, 3.0, 4.0])
def test_rungs_rise_to_the_maximum_whatever_it_is(eta: float) -> None:
    for maximum in range(1, 200):
        rungs = Fidelity(maximum, eta=eta).rungs()
        assert rungs[-1] == maximum
        assert list(rungs) == sorted(set(rungs))
        assert all(rung <= maximum / 1.5 for rung in rungs[:-1])
        assert maximum < 2 or rungs[0] <= math.ceil(maximum / 9)


@pytest.mark.parametrize(
    "wrong", [{"maximum": 0}, {"maximum": 9, "first": 10}, {"maximum": 9, "eta": 1.0}, {"maximum": 9, "audit": 1.0}]
)
def test_settings_that_cannot_be_right(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="eta > 1"):
        Fidelity(**wrong)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_curves_that_never_cross_never_lose_the_best(sign: float) -> None:
    # C21: a + b t**-c with common b and c.
    settings = Fidelity(27, first=1, eta=3, audit=0.0)
    for seed in range(20):
        limits = np.random.default_rng(seed).permutation(27) / 27

        def curve(number: int, rung: float, limits: np.ndarray = limits) -> float:
            return sign * float(limits[number] + rung**-0.5)

        trials, done, asked = trained(curve, 27, settings=settings, sign=sign, seed=seed)
        assert [trial.number for trial in trials if trial.fidelity == 27] == [int(limits.argmin())]
        assert done.counts == (27, 9, 3, 1)
        # Each rung costs as much as the first when trials start again: rungs x n x r_min.
        assert done.spent_restarting == 4 * 27 * 1
        assert done.spent == 27 * 1 + 9 * 2 + 3 * 6 + 1 * 18
        order = np.argsort(limits)
        assert [sorted(numbers) for _, numbers in asked] == [sorted(order[:k].tolist()) for k in (27, 9, 3, 1)]
        assert done.correlations[:2] == pytest.approx((1.0, 1.0))
        assert math.isnan(done.correlations[2])


def test_those_that_were_stopped_know_where() -> None:
    trials, _, _ = trained(lambda number, _: float(number), 8, settings=Fidelity(9, first=1, audit=0.0))
    assert [trial.stopped for trial in trials] == [None, 4, 2, 2, 1, 1, 1, 1]
    assert [trial.fidelity for trial in trials] == [9, 4, 2, 2, 1, 1, 1, 1]
    assert not any(trial.audit for trial in trials)


def test_some_of_the_stopped_go_on_to_the_end_as_an_audit() -> None:
    chosen = set()
    for seed in range(40):
        trials, done, _ = trained(lambda number, _: float(number), 16, settings=Fidelity(27), seed=seed)
        audited = [trial for trial in trials if trial.audit]
        assert len(audited) == 1  # 6 % of 16
        assert audited[0].fidelity == 27
        assert audited[0].stopped == 3
        assert audited[0].number >= 8
        assert done.counts == (16, 9, 5, 3)
        chosen.add(audited[0].number)
    # Any of the eight that were stopped first may be it; that one is missed 40 times has a chance of 0.5 %.
    assert chosen == set(range(8, 16))


def test_the_audit_does_not_take_the_place_of_the_promoted() -> None:
    without, _, _ = trained(lambda number, _: float(number), 32, settings=Fidelity(27, audit=0.0))
    with_audit, _, _ = trained(lambda number, _: float(number), 32, settings=Fidelity(27, audit=0.3))
    regular = [trial.number for trial in with_audit if trial.fidelity == 27 and not trial.audit]
    assert regular == [trial.number for trial in without if trial.fidelity == 27]
    assert sum(trial.audit for trial in with_audit) == 10


def test_a_few_have_none_to_spare_for_an_audit() -> None:
    trials, _, _ = trained(lambda number, _: float(number), 7, settings=Fidelity(27, audit=0.5))
    assert not any(trial.audit for trial in trials)


def test_a_failed_trial_does_not_go_on_at_any_rung() -> None:
    trials, done, asked = trained(
        lambda number, rung: None if (number == 0 and rung >= 6) or number == 1 else float(number),
        8,
        settings=Fidelity(27, audit=0.0),
    )
    assert trials[1].reason == "NaN"
    assert trials[1].scores == {}
    assert [numbers for _, numbers in asked][1] == [0, 2, 3, 4]
    assert 0 not in asked[2][1]
    assert trials[0].scores == {3: 0.0}
    assert not trials[0].feasible
    assert done.counts == (8, 4, 2, 1)


def test_when_all_fail_nothing_more_is_trained() -> None:
    _, done, asked = trained(lambda number, rung: None, 4, settings=Fidelity(9))
    assert done.counts == (4, 0, 0, 0)
    assert done.spent == 4
    assert all(not numbers for _, numbers in asked[1:])


def test_ties_are_broken_by_number_whatever_the_order() -> None:
    _, _, asked = trained(lambda number, _: 0.0, 8, settings=Fidelity(9, audit=0.0))
    assert [numbers for _, numbers in asked] == [list(range(8)), [0, 1, 2, 3], [0, 1], [0]]


def test_rank_correlation_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.integers(0, 6, (2, 12)).astype(float)
        assert spearman(a.tolist(), b.tolist()) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman([1, 2, 3], [3, 2, 1]) == -1
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]))


def scored(pairs: Sequence[tuple[float, float]]) -> list[Trial]:
    return [Trial(number, 0, {}, {3: a, 6: b, 27: b}) for number, (a, b) in enumerate(pairs)]


def test_correlation_over_those_that_have_both() -> None:
    trials = [*scored([(1.0, 4.0), (2.0, 9.0), (3.0, 16.0)]), Trial(3, 0, {}, {3: 0.0}), Trial(4, 0, {})]
    assert rung_correlation(trials, 3, 6) == (1.0, 3)
    correlation, count = rung_correlation(trials[:2], 3, 6)
    assert math.isnan(correlation)
    assert count == 2


def test_a_first_rung_that_says_little_is_left_out() -> None:
    rungs = (3, 6, 27)
    rng = np.random.default_rng(1)
    good = scored([(k, k**2) for k in range(9)])
    bad = scored([(float(a), float(b)) for a, b in rng.permuted(np.tile(np.arange(9), (2, 1)), axis=1).T])
    assert rung_correlation(bad, 3, 6)[0] < 0.6
    assert fewer_rungs(rungs, good) == (rungs, None)
    left, why = fewer_rungs(rungs, bad)
    assert left == (6, 27)
    assert why is not None
    assert "scores at 3 and at 6 correlate by" in why
    assert fewer_rungs(rungs, bad[:7]) == (rungs, None)
    assert fewer_rungs((27,), bad) == ((27,), None)
