from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.errors import DataError
from mlkit.evaluate.actions import ACTIONS, LABEL_ERRORS
from mlkit.evaluate.advice import Advice, advise
from mlkit.evaluate.decomposition import DATA, SEED
from mlkit.evaluate.label_errors import label_errors
from mlkit.evaluate.ladder import error_ladder
from mlkit.evaluate.terms import Term
from mlkit.evaluate.unseen import unseen_predictions
from tests.evaluate.test_label_errors import clouds, gaussian_learner

RATES = {
    "underfitting": (0.20, 0.21, 0.21, 0.21),
    "overfitting": (0.02, 0.20, 0.20, 0.20),
    "shift": (0.02, 0.04, 0.20, 0.20),
    "validation overfitting": (0.02, 0.04, 0.05, 0.20),
}
EXPECTED = {
    "underfitting": ("avoidable bias", "a bigger model"),
    "overfitting": ("generalisation gap", "more training data"),
    "shift": ("shift", "look at what differs, and collect rows like the target"),
    "validation overfitting": ("validation overfitting", "pool val and test and split them anew"),
}


def planted(case: str, seed: int, *, rows: int) -> Advice:
    rng = np.random.default_rng(seed)
    train, val, target_val, test = (rng.random(rows) < rate for rate in RATES[case])
    return advise(error_ladder(train=train, val=val, target_val=target_val, test=test, human=0.01))


@pytest.mark.parametrize("case", list(RATES))
def test_a_planted_condition_is_named(case: str) -> None:
    found = [planted(case, seed, rows=1000) for seed in range(20)]
    named = [(one.dominant, one.steps[0].action.name) for one in found]
    assert sum(one == EXPECTED[case] for one in named) >= 19, named


def test_too_few_rows_ask_for_rows_and_nothing_else() -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        draws = {name: rng.random(25) < 0.2 for name in ("train", "val", "target_val", "test")}
        found.append(advise(error_ladder(**draws, human=0.2)))
    silent = [one for one in found if not one.steps]
    # Four intervals of 95 % each: chance alone resolves one of them in up to a fifth of the cases.
    assert len(silent) >= 14
    assert all(one.dominant is None for one in silent)
    asked = [one.notes[0] for one in silent if "in each set" in one.notes[0]]
    assert all(note.startswith("no avoidable term is resolved: more evaluation rows come first") for note in asked)
    assert len(asked) >= 12


def decomposed(make: Callable[[np.ndarray, np.ndarray, int], Callable[[np.ndarray], np.ndarray]]) -> ev.Decomposition:
    rng = np.random.default_rng(3)
    x, weights = rng.normal(size=(60, 10)), np.ones(10)
    x_test = rng.normal(size=(400, 10))
    noise = 0.3
    return ev.decompose(
        make,
        (x, x @ weights + noise * rng.normal(size=60)),
        test=(x_test, x_test @ weights + noise * rng.normal(size=400)),
        loss="squared",
        seed=0,
    )


def from_rows(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    return lambda rows: (rows @ weights)[:, None]


def from_seeds(x: np.ndarray, y: np.ndarray, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    moved = np.random.default_rng(seed).normal(size=x.shape[1])
    return lambda rows: (rows @ (1 + 0.3 * moved))[:, None]


def test_variance_of_rows_asks_for_data_and_variance_of_seeds_for_an_ensemble() -> None:
    by_rows, by_seeds = advise(None, decomposed(from_rows)), advise(None, decomposed(from_seeds))
    assert (by_rows.dominant, by_rows.steps[0].action.name) == (DATA, "more training data")
    assert (by_seeds.dominant, by_seeds.steps[0].action.name) == (SEED, "an ensemble of 5 seeds")
    # Arithmetic, not judgement: 1 - 1/5 of the seed part.
    assert by_seeds.steps[0].score == pytest.approx(0.8 * by_seeds.steps[0].at_least)


def test_the_score_is_the_lower_bound_times_the_share() -> None:
    ladder = error_ladder(train=(100, 1000), val=(300, 1000), human=0.02)
    for step in advise(ladder, most=50).steps:
        assert step.score == pytest.approx((step.term.low or 0) / ladder.total.value * step.action.share)


def test_steps_are_ordered_and_an_action_comes_once() -> None:
    steps = advise(error_ladder(train=(200, 1000), val=(400, 1000), human=0.02), most=50).steps
    assert [one.score for one in steps] == sorted((one.score for one in steps), reverse=True)
    assert len({one.action.name for one in steps}) == len(steps)


def test_the_gap_gives_way_to_the_variance_of_a_decomposition() -> None:
    ladder = error_ladder(train=np.full(50, 0.1), val=np.full(50, 0.5) + np.arange(50) / 1000)
    names = {step.term.name for step in advise(ladder, decomposed(from_rows), most=50).steps}
    assert "generalisation gap" not in names
    assert DATA in names


def test_without_a_human_figure_it_says_what_would_tell() -> None:
    found = advise(error_ladder(train=(200, 1000), val=(205, 1000)))
    assert found.steps[0].action.name == "a bigger model"
    assert found.steps[0].action.share == 0.25
    assert any("give human=" in note for note in found.notes)


def test_tuning_stops_where_people_err_as_much() -> None:
    found = advise(error_ladder(train=(1000, 10000), val=(1050, 10000), human=0.1))
    assert found.dominant == "irreducible error"
    assert any("further tuning can win little" in note for note in found.notes)


def test_label_errors_are_a_term_like_others() -> None:
    term = Term(LABEL_ERRORS, 0.15, 0.12, 0.18, resolved=True)
    found = advise(error_ladder(train=(160, 1000), val=(200, 1000), human=0.15), others=[term])
    assert found.dominant == LABEL_ERRORS
    assert found.steps[0].action.name == "relabel the rows that are likely wrong"


def test_planted_label_noise_is_named_and_not_taken_for_bias() -> None:
    """The right model of three clouds whose labels are wrong in 15 of 100 rows, judged on such labels."""
    named = []
    for seed in range(20):
        x, labels, _ = clouds(seed, rate=0.15, n=1200)
        found = label_errors(unseen_predictions(gaussian_learner, (x[:800], labels[:800]), seed=seed), labels[:800])
        predict = gaussian_learner(x[:800], labels[:800], seed)
        wrong = predict(x).argmax(1) != labels
        advice = advise(error_ladder(train=wrong[:800], val=wrong[800:], human=0.02), others=[found.term])
        named.append((advice.dominant, advice.steps[0].action.name))
    assert named.count((LABEL_ERRORS, "relabel the rows that are likely wrong")) >= 19, named


def test_nothing_to_advise_on() -> None:
    with pytest.raises(DataError, match="no terms to advise on"):
        advise()


def test_it_fits_the_terminal_and_has_plain_values() -> None:
    found = planted("overfitting", 0, rows=1000)
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["steps"][0]["action"] == "more training data"
    assert "<ol>" in found._repr_html_()


def test_shares_are_shares_and_fall_along_the_lists() -> None:
    for name, actions in ACTIONS.items():
        shares = [one.share for one in actions]
        assert all(0 < share < 1 for share in shares)
        assert shares == sorted(shares, reverse=True), name
        assert all(one.why for one in actions if one.basis == "arithmetic")


def test_the_commands_compose() -> None:
    """Every `python -m mlkit.train` of the lists is taken by the command."""
    from mlkit.config.compose import composer

    commands = {one.call for actions in ACTIONS.values() for one in actions if one.call.startswith("python -m mlkit.t")}
    words = {call: [w for w in call.split() if "=" in w and "seed=" not in w] for call in commands}
    with composer("train") as session:
        for call, overrides in words.items():
            extra = [] if any(word.startswith("model=") for word in overrides) else ["model=mlp"]
            composed, problems = session.compose([*overrides, *extra])
            assert composed is not None, (call, problems)
            assert not problems, call
