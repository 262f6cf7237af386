from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import mlkit.search as search
from mlkit.errors import ConfigError, TrainingError
from mlkit.search.dimensions import Value
from mlkit.search.result import Round
from mlkit.search.trials import Job, Outcome

SPACE = {"lr": search.log(1e-5, 1.0, grow=False), "kind": search.choice("a", "b")}


def number(value: Value) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def loss(params: Mapping[str, Value]) -> float:
    """Best at lr 0.01 and kind a, where it is 0."""
    return (math.log10(number(params["lr"])) + 2) ** 2 + 0.5 * (params["kind"] == "b")


def curve(params: Mapping[str, Value], fidelity: float, seed: int) -> float:
    noise = np.random.default_rng([seed, int(1e6 * number(params["lr"])), int(fidelity)]).standard_normal()
    return loss(params) + 1 / fidelity + 0.02 * float(noise)


def plain(result: search.SearchResult) -> dict[str, object]:
    return {**result.to_dict(), "seconds": None}


@pytest.mark.parametrize("method", ["coarse_to_fine", "random", "halton", "grid", "box"])
def test_the_same_seed_gives_the_same_result(method: str) -> None:
    a, b, other = (
        search.run(curve, SPACE, method=method, budget=24, fidelity=9, seed=seed)  # type: ignore[arg-type]
        for seed in (4, 4, 5)
    )
    assert plain(a) == plain(b)
    if method != "grid":
        assert [trial.params for trial in a.trials] != [trial.params for trial in other.trials]
    assert len(a.trials) <= 24


def test_the_best_is_found() -> None:
    result = search.coarse_to_fine(loss, SPACE, budget=48)
    assert result.params["kind"] == "a"
    assert number(result.params["lr"]) == pytest.approx(0.01, rel=0.05)
    assert result.best.score == min(trial.score or 0.0 for trial in result.trials)
    assert [result.trials[k].score for k in result.ranked] == sorted(trial.score or 0.0 for trial in result.trials)


def test_large_scores_are_the_same_search_turned_round() -> None:
    small = search.coarse_to_fine(curve, SPACE, budget=24, fidelity=9)
    large = search.coarse_to_fine(
        lambda params, fidelity, seed: -curve(params, fidelity, seed), SPACE, budget=24, fidelity=9, direction="max"
    )
    assert [t.params for t in small.trials] == [t.params for t in large.trials]
    assert small.ranked == large.ranked
    assert [t.number for t in small.tie_set] == [t.number for t in large.tie_set]


def test_a_metric_by_name_says_which_way() -> None:
    def objective(params: dict[str, Value]) -> dict[str, float]:
        return {"loss": loss(params), "accuracy": 1 / (1 + loss(params))}

    for score in ("loss", "accuracy", "val/accuracy"):
        if "/" in score:
            result = search.coarse_to_fine(
                lambda params: {"val/accuracy": objective(params)["accuracy"]}, SPACE, score=score, budget=24
            )
        else:
            result = search.coarse_to_fine(objective, SPACE, score=score, budget=24)
        assert result.direction == ("min" if score == "loss" else "max")
        assert loss(result.params) == min(loss(trial.params) for trial in result.trials)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (lambda: math.nan, "NaN"),
        (lambda: -math.inf, "infinite"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: None, "TypeError: float()"),
        (lambda: "high", "ValueError: could not convert"),
        (lambda: {"a": 1.0, "b": 2.0}, "ConfigError: several numbers, and no score"),
    ],
)
def test_what_fails_is_a_result_and_marks_the_infeasible_region(bad: object, reason: str) -> None:
    result = search.coarse_to_fine(
        lambda params: bad() if number(params["lr"]) > 0.05 else loss(params),  # type: ignore[operator]
        SPACE,
        budget=32,
    )
    failed = [trial for trial in result.trials if number(trial.params["lr"]) > 0.05]
    assert failed
    assert all((trial.reason or "").startswith(reason) and trial.score is None for trial in failed)
    assert not any(trial.reason for trial in result.trials if trial not in failed)
    assert number(result.params["lr"]) == pytest.approx(0.01, rel=0.1)
    assert sorted(result.ranked[-len(failed) :]) == [trial.number for trial in failed]
    assert any(region.where.startswith("lr >= 0.") for region in result.infeasible)


def test_when_all_fail_in_different_ways_it_stops_after_the_first_round_and_says_why() -> None:
    calls = []

    def objective(params: dict[str, Value]) -> float:
        calls.append(params)
        if len(calls) % 2:
            raise RuntimeError(f"boom {len(calls)}")
        return math.nan

    with pytest.raises(TrainingError) as caught:
        search.coarse_to_fine(objective, SPACE, budget=32)
    assert len(calls) == 8
    for part in ("all 8 trials of the first round failed", "4 times NaN", "1 times RuntimeError: boom 1"):
        assert part in str(caught.value)


def test_the_same_error_five_times_is_a_bug_and_a_nan_is_none() -> None:
    calls = []

    def objective(params: dict[str, Value]) -> float:
        calls.append(params)
        return number(params["learning_rate"])

    with pytest.raises(TrainingError) as caught:
        search.coarse_to_fine(objective, SPACE, budget=64)
    assert len(calls) == 5
    for part in ("the first 5 trials raised the same error", "KeyError: 'learning_rate'", "once by hand"):
        assert part in str(caught.value)

    calls.clear()
    # Five NaN in a row may be divergence: the rest of the round decides.
    result = search.coarse_to_fine(lambda p: calls.append(p) or (math.nan if len(calls) <= 15 else loss(p)), SPACE)  # type: ignore[func-returns-value]
    assert sum(trial.reason is not None for trial in result.trials) == 15


def test_ctrl_c_stops_it_and_the_same_call_goes_on(tmp_path: Path) -> None:
    calls = []

    def objective(params: dict[str, Value]) -> float:
        calls.append(params)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return loss(params)

    with pytest.raises(KeyboardInterrupt):
        search.coarse_to_fine(objective, SPACE, budget=24, folder=tmp_path)
    result = search.coarse_to_fine(objective, SPACE, budget=24, folder=tmp_path)
    assert len(calls) == 11 + 14
    assert plain(result) == plain(search.coarse_to_fine(loss, SPACE, budget=24))


def test_the_finalists_run_with_other_seeds_all_with_the_same() -> None:
    asked: list[tuple[float, int]] = []

    def objective(params: dict[str, Value], fidelity: float, seed: int) -> float:
        asked.append((fidelity, seed))
        return curve(params, fidelity, seed)

    result = search.coarse_to_fine(objective, SPACE, budget=24, fidelity=9, seed=10, finalists=4, seeds=3)
    last = asked[-12:]
    assert last == [(9, seed) for _ in range(4) for seed in (11, 12, 13)]
    assert {seed for _, seed in asked[:-12]} == {10}
    assert result.comparison is not None
    assert len(result.comparison.scores) == 4
    for trial, scores in result.comparison.scores.items():
        assert list(scores) == [curve(result.trials[trial].params, 9, seed) for seed in (11, 12, 13)]
        assert list(result.trials[trial].seeds) == [11, 12, 13]
    assert set(result.comparison.ties) <= set(result.comparison.scores)
    assert result.best == result.tie_set[0]


def test_the_lucky_one_is_not_crowned() -> None:
    # By the search's own seed the worst of five is best; by all others it is last.
    def objective(params: dict[str, Value], seed: int = 0) -> float:
        x = number(params["x"])
        return -10.0 if seed == 0 and x == 5 else x + 0.01 * math.sin(seed + x)

    result = search.run(objective, {"x": search.choice(1, 2, 3, 4, 5)}, method="grid", budget=5)
    assert result.trials[result.ranked[0]].params == {"x": 5}
    assert result.params == {"x": 1}
    assert [trial.params["x"] for trial in result.tie_set] == [1]


def test_a_finalist_that_fails_with_another_seed_is_out() -> None:
    def objective(params: dict[str, Value], seed: int = 0) -> float:
        return math.nan if seed == 2 and params["x"] == 1 else number(params["x"]) + 0.01 * seed

    result = search.run(objective, {"x": search.choice(1, 2, 3)}, method="grid", budget=3)
    assert result.params == {"x": 2}
    assert result.comparison is not None
    assert result.comparison.failed == {0: "NaN with seed 2"}
    assert "trial 0 is out: NaN with seed 2" in str(result)


@pytest.mark.parametrize(
    ("objective", "more", "note"),
    [
        (lambda p: loss(p), {}, "takes no seed"),
        (lambda p, seed: loss(p), {"finalists": 1}, "was run once"),
        (lambda p, seed: loss(p), {"seeds": 1}, "was run once"),
        (lambda p, seed: loss(p) if seed == 0 else math.nan, {}, "all finalists failed"),
    ],
)
def test_why_there_is_no_comparison(objective: object, more: dict[str, int], note: str) -> None:
    result = search.run(objective, SPACE, budget=16, **more)  # type: ignore[arg-type]
    assert result.comparison is None
    assert any(note in line for line in result.notes)
    assert [trial.number for trial in result.tie_set] == [result.ranked[0]]


def test_most_are_stopped_early_and_the_best_goes_all_the_way() -> None:
    epochs: dict[float, int] = {}
    reports: list[Round] = []

    def objective(params: dict[str, Value], fidelity: int, state: dict[str, int], report: object) -> float:
        key = number(params["lr"])
        before = state.get("epoch", 0)
        epochs[key] = epochs.get(key, 0) + fidelity - before
        state["epoch"] = fidelity
        for epoch in range(before + 1, fidelity + 1):
            report(epoch, loss(params) + 1 / epoch)  # type: ignore[operator]
        return loss(params) + 1 / fidelity

    result = search.coarse_to_fine(objective, SPACE, budget=32, fidelity=27, on_round=reports.append)
    assert result.best.fidelity == 27
    # No trial starts again: each trains just as far as it got.
    assert sum(epochs.values()) == sum(trial.fidelity for trial in result.trials)
    assert sum(epochs.values()) == sum(part.halving.spent for part in result.rounds if part.halving)
    assert sum(epochs.values()) < 32 * 27 / 2
    for trial in result.trials:
        assert [epoch for epoch, _ in trial.curve] == list(range(1, int(trial.fidelity) + 1))
    assert tuple(reports) == result.rounds
    assert sum(part.count for part in reports) == 32


def test_a_first_rung_that_says_nothing_is_left_out() -> None:
    def objective(params: dict[str, Value], fidelity: float) -> float:
        return -loss(params) if fidelity < 4 else loss(params)

    result = search.coarse_to_fine(objective, SPACE, budget=64, fidelity=27)
    assert [part.halving.rungs[0] for part in result.rounds if part.halving][:2] == [3, 6]
    assert any("the first rung is left out" in note for note in result.notes)
    # The first round promoted the worst; the rounds after it still come to within two thirds of a decade.
    assert loss(result.params) < (2 / 3) ** 2


def test_a_small_space_is_over_before_the_budget() -> None:
    space = {"x": search.choice(1, 2, 3), "y": search.choice("a", "b")}
    result = search.coarse_to_fine(lambda p: number(p["x"]), space, budget=64)
    assert len(result.trials) == 6
    assert result.params["x"] == 1


def test_time_is_over_after_the_round_that_has_begun(tmp_path: Path) -> None:
    result = search.run(loss, SPACE, budget=32, time_limit=0.0, folder=tmp_path)
    assert len(result.rounds) == 1
    assert result.notes[0] == "time is over after 1 of 4 rounds"
    whole = search.coarse_to_fine(loss, SPACE, budget=32, folder=tmp_path)
    assert plain(whole) == plain(search.coarse_to_fine(loss, SPACE, budget=32))


class Many:
    """Does a rung's jobs at once, in an order of its own; some it loses, some come back as NaN."""

    takes = ("fidelity", "seed")

    def __init__(self, *, loses: bool = False) -> None:
        self.loses = loses
        self.sizes: list[int] = []

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        self.sizes.append(len(jobs))
        for job in reversed(jobs):
            if self.loses and job.trial % 5 == 4:
                continue
            score = curve(job.params, job.fidelity or 0, job.seed)
            yield Outcome(job, math.nan if self.loses and job.trial % 5 == 3 else score)


def test_an_executor_does_a_rung_at_once_and_order_does_not_matter() -> None:
    many = Many()
    result = search.run(many, SPACE, budget=24, fidelity=9)
    assert plain(result) == plain(search.run(curve, SPACE, budget=24, fidelity=9))
    first = result.rounds[0].halving
    assert first is not None
    assert tuple(many.sizes[:4]) == first.counts
    assert many.sizes[-1] == 5 * 3  # all finalists with all seeds


def test_an_executor_that_loses_jobs_or_gives_no_numbers(tmp_path: Path) -> None:
    result = search.run(Many(loses=True), SPACE, budget=24, fidelity=9, folder=tmp_path)
    for trial in result.trials:
        assert trial.feasible == (trial.number % 5 < 3)
        assert trial.reason == ("NaN" if trial.number % 5 == 3 else None)
    assert result.best.number % 5 < 3


def test_the_objective_may_change_what_it_is_given() -> None:
    def objective(params: dict[str, Value]) -> float:
        value = loss(params)
        params.clear()
        return value

    assert plain(search.run(objective, SPACE, budget=16)) == plain(search.run(loss, SPACE, budget=16))


def test_a_list_by_hand_is_compared_over_seeds() -> None:
    listed: list[dict[str, Value]] = [{"lr": lr, "kind": "a"} for lr in (0.1, 0.011, 1e-4)]
    result = search.run(curve, method="manual", configurations=listed, fidelity=search.Fidelity(9, first=9))
    assert result.params == listed[1]
    assert result.comparison is not None
    assert len(result.comparison.scores) == 3


def test_the_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    def metrics(params: dict[str, Value]) -> dict[str, float]:
        return {"loss": loss(params), "rmse": 1 + loss(params)}

    search.run(metrics, SPACE, budget=8, score="loss", folder=tmp_path / "a")
    for other in ({"score": "rmse"}, {"budget": 9}, {"seed": 1}, {"method": "random"}, {"rounds": 2}, {"finalists": 2}):
        with pytest.raises(ConfigError, match=f"another search\n.*{next(iter(other))}"):
            search.run(metrics, SPACE, **{"budget": 8, "score": "loss", "folder": tmp_path / "a", **other})  # type: ignore[arg-type]
    listed: list[dict[str, Value]] = [{"lr": 0.1, "kind": "a"}, {"lr": 0.2, "kind": "b"}]
    crossed: list[dict[str, Value]] = [{"lr": 0.1, "kind": "b"}, {"lr": 0.2, "kind": "a"}]
    search.run(loss, method="manual", configurations=listed, folder=tmp_path / "b")
    with pytest.raises(ConfigError, match="configurations"):
        search.run(loss, method="manual", configurations=crossed, folder=tmp_path / "b")
    search.run(curve, SPACE, budget=8, fidelity=search.Fidelity(9), folder=tmp_path / "c")
    with pytest.raises(ConfigError, match="fidelity"):
        search.run(curve, SPACE, budget=8, fidelity=search.Fidelity(9, audit=0.5), folder=tmp_path / "c")


def test_scores_of_ones_own_are_known_again_in_another_process(tmp_path: Path) -> None:
    # What stands in the ledger must not hold an address in memory.
    score = search.WeightedMean({"loss": -1.0})
    search.run(lambda p: {"loss": loss(p)}, SPACE, budget=8, score=score, folder=tmp_path)
    (header, *_) = (tmp_path / "search.jsonl").read_text().splitlines()
    assert json.loads(header)["score"] == "WeightedMean(weights={'loss': -1.0})"
    assert " at 0x" not in header


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"budget": 0}, "budget"),
        ({"budget": 2.5}, "budget"),
        ({"seeds": 0}, "seeds"),
        ({"finalists": True}, "finalists"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": 0, "method": "box"}, "rounds"),
        ({"seed": -1}, "seed"),
        ({"direction": "down"}, "direction"),
        ({"fidelity": 9}, "does not take one"),
        ({"method": "randm"}, "random"),
    ],
)
def test_what_cannot_be_right_is_told_before_anything_runs(wrong: dict[str, object], part: str) -> None:
    calls: list[object] = []
    with pytest.raises(ConfigError, match=part):
        search.run(lambda p: calls.append(p) or 0.0, SPACE, **wrong)  # type: ignore[arg-type, func-returns-value]
    assert calls == []


def test_objectives_that_cannot_be_called_so() -> None:
    with pytest.raises(ConfigError, match="fidelity=27"):
        search.run(curve, SPACE)
    with pytest.raises(ConfigError, match="fidelity"):
        search.run(lambda p, fidelty: 0.0, SPACE)
    with pytest.raises(ConfigError, match="takes nothing"):
        search.run(lambda: 0.0, SPACE)
    with pytest.raises(ConfigError, match="cannot be called"):
        search.run(3, SPACE)  # type: ignore[arg-type]


def test_what_is_printed_fits_and_what_is_written_is_json() -> None:
    space = {**SPACE, "a_hyper_parameter_with_a_long_name": search.uniform(0.0, 1.0), "layers": search.integer(1, 8)}
    result = search.coarse_to_fine(
        lambda p, fidelity, seed: math.nan if number(p["lr"]) > 0.1 else curve(p, fidelity, seed),
        space,
        budget=32,
        fidelity=9,
    )
    assert max(map(len, str(result).splitlines())) <= 80
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["best"]["params"] == result.params
    assert len(written["trials"]) == 32
    assert "<table>" in result._repr_html_()
