from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import fisher_exact

from mlkit.search.dimensions import choice, fixed, integer, log, uniform
from mlkit.search.halton import halton
from mlkit.search.regions import fisher, infeasible_regions, plausible
from mlkit.search.space import Space
from mlkit.search.trials import Trial, by_merit

SPACE = Space({"lr": log(1e-5, 1.0), "kind": choice("a", "b", "c"), "depth": integer(1, 8), "momentum": fixed(0.9)})


def trials(count: int, fails: object, *, seed: int = 0, reason: str = "NaN") -> list[Trial]:
    found = []
    for number, point in enumerate(halton(count, 4, seed=seed)):
        params = SPACE.params(point)
        lost = bool(fails(params))  # type: ignore[operator]
        scores = {} if lost else {math.inf: abs(math.log10(float(params["lr"])) + 2)}  # type: ignore[arg-type]
        found.append(Trial(number, 0, params, scores, reason=reason if lost else None))
    return found


def test_the_probability_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        total = int(rng.integers(2, 40))
        total_hits, drawn = (int(value) for value in rng.integers(1, total + 1, 2))
        hits = int(rng.integers(max(0, drawn + total_hits - total), min(drawn, total_hits) + 1))
        rest = total - drawn - (total_hits - hits)
        table = [[hits, drawn - hits], [total_hits - hits, rest]]
        assert fisher(hits, drawn, total_hits, total) == pytest.approx(
            fisher_exact(table, alternative="greater").pvalue
        )


def test_a_range_where_all_fail_is_told_with_its_end() -> None:
    found = trials(40, lambda p: p["lr"] > 0.05)
    (region,) = infeasible_regions(SPACE, found)
    lost = [trial for trial in found if trial.reason]
    end = min(float(trial.params["lr"]) for trial in lost)  # type: ignore[arg-type]
    assert region.where == f"lr >= {end:.3g}"
    assert (region.failed, region.tried) == (len(lost), len(lost))
    assert (region.failed_elsewhere, region.tried_elsewhere) == (0, 40 - len(lost))
    assert str(region) == f"{region.where}: {len(lost)} of {len(lost)} failed (elsewhere 0 of {40 - len(lost)}): NaN"


def test_the_other_end_and_a_word() -> None:
    low = infeasible_regions(SPACE, trials(40, lambda p: p["depth"] <= 2))
    assert [region.where for region in low] == ["depth <= 2"]
    word = infeasible_regions(SPACE, trials(40, lambda p: p["kind"] == "b"))
    assert [region.where for region in word] == ["kind = b"]


def test_the_clearest_comes_first() -> None:
    found = infeasible_regions(SPACE, trials(60, lambda p: p["lr"] > 0.1 or (p["kind"] == "c" and p["depth"] > 1)))
    assert [region.where.split()[0] for region in found][:2] in (["lr", "kind"], ["kind", "lr"])
    numbers = [fisher(r.failed, r.tried, r.failed + r.failed_elsewhere, 60) for r in found]
    assert numbers == sorted(numbers)


def test_failures_by_chance_are_seldom_a_region() -> None:
    told = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        told += bool(infeasible_regions(SPACE, trials(40, lambda p, rng=rng: rng.random() < 0.2, seed=seed)))
    # Once in a hundred by its definition; three of sixty has a chance of 2 %.
    assert told <= 3


def test_nothing_failed_or_too_few_to_tell() -> None:
    assert infeasible_regions(SPACE, trials(40, lambda p: False)) == ()
    assert infeasible_regions(SPACE, trials(3, lambda p: True)) == ()
    assert infeasible_regions(SPACE, []) == ()


def test_the_most_frequent_reason_stands_first() -> None:
    found = trials(60, lambda p: p["lr"] > 1e-2)
    lost = [trial for trial in found if trial.reason]
    for trial in lost[::3]:
        trial.reason = "RuntimeError: out of memory"
    (region,) = infeasible_regions(SPACE, found)
    assert region.reasons == ("NaN", "RuntimeError: out of memory")
    assert region.to_dict()["reasons"] == ["NaN", "RuntimeError: out of memory"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_good_values_are_those_within_the_noise_of_the_best(sign: float) -> None:
    space = Space({"x": uniform(0.0, 1.0), "kind": choice("a", "b"), "size": choice(1, 2, 4), "m": fixed(1)})
    rows = [(0.5, "a", 1, 1.0), (0.6, "b", 2, 1.1), (0.3, "a", 2, 1.2), (0.1, "b", 4, 1.3), (0.9, "a", 4, 2.0)]
    found = [
        Trial(k, 0, {"x": x, "kind": kind, "size": size, "m": 1}, {math.inf: sign * loss})
        for k, (x, kind, size, loss) in enumerate(rows)
    ]
    ranked = by_merit(found, sign)
    parts = {part.name: part for part in plausible(space, ranked, sign=sign, noise=0.25)}
    assert list(parts) == ["x", "kind", "size"]
    assert parts["x"].values == (0.3, 0.6)
    assert str(parts["x"]) == "0.3 to 0.6"
    assert str(parts["kind"]) == "a, b"
    assert parts["size"].values == (1, 2)
    assert {part.count for part in parts.values()} == {3}
    (x, kind, _) = plausible(space, ranked, sign=sign, noise=0.05)
    assert (str(x), str(kind)) == ("0.5", "a")


def test_without_a_noise_the_best_tenth_counts_and_at_least_three() -> None:
    found = by_merit(trials(80, lambda p: False), 1.0)
    (lr, *_) = plausible(SPACE, found, sign=1.0, noise=math.nan)
    best = [float(trial.params["lr"]) for trial in found[:8]]  # type: ignore[arg-type]
    assert (lr.values, lr.count) == ((min(best), max(best)), 8)
    assert plausible(SPACE, found[:5], sign=1.0, noise=math.nan)[0].count == 3


def test_trials_that_were_stopped_early_do_not_count_as_good() -> None:
    space = Space({"x": uniform(0.0, 1.0)})
    found = [Trial(0, 0, {"x": 0.5}, {3: 0.5, 9: 0.4}), Trial(1, 0, {"x": 0.1}, {3: 0.0})]
    (part,) = plausible(space, by_merit(found, 1.0), sign=1.0, noise=1.0)
    assert (part.values, part.count) == ((0.5, 0.5), 1)
    assert plausible(space, [Trial(0, 0, {"x": 0.5}, reason="NaN")], sign=1.0, noise=1.0) == ()
