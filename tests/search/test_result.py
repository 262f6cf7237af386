from __future__ import annotations

import html.parser
import json
import math
from dataclasses import replace

import pytest

import mlkit.search as search
from mlkit.search.dimensions import Value
from mlkit.search.result import WIDTH, SearchResult


def number(value: Value) -> float:
    assert isinstance(value, (int, float))
    return float(value)


def objective(params: dict[str, Value], fidelity: float, seed: int) -> float:
    if number(params["optimizer.lr"]) > 0.1:
        return math.nan
    gap = (math.log10(number(params["optimizer.lr"])) + 1.2) ** 2
    return gap + 1 / fidelity + 0.05 * math.sin(seed * 13 + gap * 1000) + 0.1 * (params["model.activation"] == "tanh")


SPACE = {
    "optimizer.lr": search.log(1e-5, 1.0, grow=False),
    "model.activation": search.choice("relu", "tanh"),
    **{f"model.a_setting_with_a_long_name_{k}": search.uniform(0.0, 1.0) for k in range(4)},
}


@pytest.fixture(scope="module")
def result() -> SearchResult:
    return search.run(objective, SPACE, method="coarse_to_fine", budget=40, fidelity=9, seed=1)


def test_the_text_fits_and_says_the_main_things(result: SearchResult) -> None:
    text = str(result)
    assert max(map(len, text.splitlines())) <= WIDTH
    failed = sum(trial.reason is not None for trial in result.trials)
    assert failed > 0
    for part in (
        f"40 trials and 15 runs with other seeds in {result.seconds:.1f} s, {failed} infeasible; smallest is best",
        "without the luck of the choice",
        "round 0: 10 trials, trained 10/",
        "infeasible: optimizer.lr >= 0.",
        "hyper-parameter",
    ):
        assert part in text
    for name in SPACE:
        assert name in text
    assert text.count("\nround ") == len(result.rounds) == 5


def test_the_best_stand_first_with_their_values(result: SearchResult) -> None:
    assert result.comparison is not None
    assert result.best is result.tie_set[0]
    assert result.params == result.best.params
    assert result.params is not result.best.params  # the result is not changed through it
    means = [result.comparison.mean(trial.number) for trial in result.tie_set]
    assert means == sorted(means)
    lines = str(result).splitlines()
    head = next(k for k, line in enumerate(lines) if line.split()[:3] == ["trial", "mean", "optimizer.lr"])
    shown = [line.split() for line in lines[head + 1 : head + 1 + len(result.tie_set)]]
    assert [int(cells[0]) for cells in shown] == [trial.number for trial in result.tie_set]
    assert [cells[1] for cells in shown] == [f"{mean:.4g}" for mean in means]
    assert [cells[2] for cells in shown] == [f"{trial.params['optimizer.lr']:.4g}" for trial in result.tie_set]


def test_the_dictionary_is_json_and_whole(result: SearchResult) -> None:
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["best"]["params"] == result.params
    assert written["ties"] == [trial.number for trial in result.tie_set]
    assert [trial["params"] for trial in written["trials"]] == [trial.params for trial in result.trials]
    assert search.Space.make(written["space"]) == result.space
    assert len(written["rounds"]) == len(result.rounds)
    assert sum(part["share"] for part in written["importance"]) == pytest.approx(1.0)


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.rows += tag == "tr"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_values_are_escaped() -> None:
    space = {"kind": search.choice("<b>bold</b>", "a & b"), "x": search.uniform(0.0, 1.0)}
    found = search.run(lambda p, seed: number(p["x"]) + 0.1 * seed, space, budget=16)
    page = found._repr_html_()
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.rows == 1 + min(len(found.tie_set), 5)
    assert "<b>" not in page
    assert "&lt;b&gt;bold" in page or "a &amp; b" in page


def test_without_a_comparison_it_says_that_the_best_is_too_good(result: SearchResult) -> None:
    alone = replace(result, comparison=None)
    assert [trial.number for trial in alone.tie_set] == [result.ranked[0]]
    assert "of one run: chosen for being best, it is too good" in " ".join(str(alone).split())
    assert "best by one run each" in str(alone)


def test_times_are_readable(result: SearchResult) -> None:
    assert "in 59.9 s" in str(replace(result, seconds=59.9))
    assert "in 2 min 5 s" in str(replace(result, seconds=125.0))


def test_a_large_direction_and_a_single_winner() -> None:
    found = search.run(
        lambda p, seed: number(p["x"]) + 1e-6 * seed,
        {"x": search.choice(1, 2, 3)},
        method="grid",
        direction="max",
        budget=3,
    )
    text = str(found)
    assert "largest is best" in text
    assert "better than the 2 others compared" in text
    assert found.params == {"x": 3}
