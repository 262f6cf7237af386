"""``search.…`` on a command line: read, checked, and kept apart from the settings of the run."""

from __future__ import annotations

import pytest

from mlkit.config.searching.settings import SearchSettings, split_overrides


def test_what_is_not_of_the_search_is_handed_on_untouched() -> None:
    words = ["model=mlp", "search.budget=8", "+optimizer.lr=1e-3", "data.classes=[0,1]", "hydra.run.dir=x"]
    settings, rest, problems = split_overrides(words)
    assert (settings.budget, rest, problems) == (8, [word for word in words if "search" not in word], [])


def test_values_are_read_as_everywhere() -> None:
    words = ["search.halving=false", "search.time=10m", "search.rounds=null", "search.method=random", "search.seeds=4"]
    settings, _, problems = split_overrides(words)
    assert problems == []
    assert settings == SearchSettings(halving=False, time="10m", rounds=None, method="random", seeds=4)


def test_a_space_keeps_its_text_without_the_quotes_of_a_shell() -> None:
    words = ["search.space.optimizer.lr='log(1e-5,1e-1)'", 'search.space.trainer.batch_size="choice(16,64)"']
    settings, _, _ = split_overrides(words)
    assert settings.space == {"optimizer.lr": "log(1e-5,1e-1)", "trainer.batch_size": "choice(16,64)"}


@pytest.mark.parametrize(
    ("word", "what", "todo"),
    [
        ("search.budgt=8", "unknown setting search.budgt", "did you mean 'budget'?"),
        ("search.budget=0", "search.budget cannot have this value", "for example search.budget=64"),
        ("search.budget=many", "search.budget cannot have this value", "for example search.budget=64"),
        ("search.method=coarse", "search.method cannot have this value", ""),
        ("search.space=[1]", "the space is given one setting at a time", "search.space.optimizer.lr"),
        ("search.budget", "a setting without a value", "search.budget"),
    ],
)
def test_a_mistake_gets_one_message(word: str, what: str, todo: str) -> None:
    _, _, problems = split_overrides([word])
    assert [problem.what for problem in problems] == [what]
    assert todo in (problems[0].todo or "")


def test_all_mistakes_are_told_at_once() -> None:
    assert len(split_overrides(["search.budget=0", "search.seeds=1", "search.x=1"])[2]) == 3
