from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlkit.errors import ConfigError, MissingExtraError
from mlkit.runtime.keys import derive_seed
from mlkit.search import CoarseToFineSampler
from mlkit.search.halton import halton
from mlkit.search.sampler import _sampler_class

optuna = pytest.importorskip("optuna")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    yield
    optuna.logging.set_verbosity(before)


def objective(trial: optuna.Trial) -> float:
    lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
    width = trial.suggest_int("width", 16, 256, step=16)
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    return (math.log10(lr) + 2) ** 2 + abs(width - 128) / 256 + {"a": 0.0, "b": 0.3, "c": 1.0}[kind]


def studied(
    count: int, function: Callable[..., float] = objective, *, seed: int = 0, sampler: object = None, **more: object
) -> optuna.Study:
    study = optuna.create_study(sampler=sampler or CoarseToFineSampler(seed=seed, budget=count), **more)
    study.optimize(function, n_trials=count)
    return study


def asked(study: optuna.Study) -> list[dict[str, object]]:
    return [trial.params for trial in study.trials]


def test_it_is_ahead_of_random_draws() -> None:
    ours = [studied(40, seed=seed).best_value for seed in range(6)]
    chance = [studied(40, sampler=optuna.samplers.RandomSampler(seed=seed)).best_value for seed in range(6)]
    assert np.mean(ours) < np.mean(chance) / 3
    assert max(ours) < 0.15


def test_the_same_seed_asks_for_the_same() -> None:
    assert asked(studied(24, seed=3)) == asked(studied(24, seed=3))
    assert asked(studied(24, seed=3)) != asked(studied(24, seed=4))


def test_largest_values_are_the_same_study_turned_round() -> None:
    turned = studied(24, lambda trial: -objective(trial), direction="maximize")
    assert asked(turned) == asked(studied(24))


def test_a_study_goes_on_in_another_process_as_in_this_one(tmp_path: Path) -> None:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    for count in (9, 24 - 9):  # each with storage and sampler of its own, as after a kill
        storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
        sampler = pickle.loads(pickle.dumps(CoarseToFineSampler(budget=24)))
        study = optuna.create_study(study_name="s", storage=storage, load_if_exists=True, sampler=sampler)
        study.optimize(objective, n_trials=count)
    assert asked(study) == asked(studied(24))
    assert str(sampler) == "CoarseToFineSampler(seed=0, budget=24)"


def test_a_batch_that_is_asked_for_before_any_is_told_is_spread_evenly() -> None:
    wanted = {
        "x": optuna.distributions.FloatDistribution(0.0, 1.0),
        "y": optuna.distributions.FloatDistribution(-1.0, 1.0),
    }
    study = optuna.create_study(sampler=CoarseToFineSampler(seed=5, budget=64))
    trials = [study.ask(wanted) for _ in range(16)]
    points = halton(16, 2, seed=derive_seed(5, "halton", 0, ""))
    found = np.array([[trial.params["x"], (trial.params["y"] + 1) / 2] for trial in trials])
    np.testing.assert_allclose(found[1:], points[1:], atol=1e-3)


def test_batches_are_no_repeats_and_find_it_as_well() -> None:
    wanted = {
        "lr": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
    }
    study = optuna.create_study(sampler=CoarseToFineSampler(budget=48))
    for _ in range(6):
        batch = [study.ask(wanted) for _ in range(8)]
        for trial in batch:
            study.tell(trial, (math.log10(trial.params["lr"]) + 2) ** 2 + (trial.params["kind"] == "b"))
    assert len({tuple(params.values()) for params in asked(study)}) == 48
    assert study.best_value < 0.01


def test_several_threads_at_once() -> None:
    study = optuna.create_study(sampler=CoarseToFineSampler(budget=32))
    study.optimize(objective, n_trials=32, n_jobs=2)
    assert len(study.trials) == 32
    assert study.best_value < 0.5


def test_it_keeps_away_from_where_trials_fail() -> None:
    def fails(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        trial.suggest_float("y", 0.0, 1.0)
        if x > 0.4:
            raise ValueError("diverged")
        return -x

    study = optuna.create_study(sampler=CoarseToFineSampler(budget=48))
    study.optimize(fails, n_trials=48, catch=(ValueError,))
    failed = [trial.state.name == "FAIL" for trial in study.trials]
    assert 0.4 < np.mean(failed[:12]) < 0.8  # six tenths of the range
    assert np.mean(failed[12:]) < 0.35
    assert study.best_value < -0.39


def test_what_was_pruned_counts_as_stopped() -> None:
    def trains(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.0, 1.0)
        for step in (1, 3, 9):
            trial.report((x - 0.3) ** 2 + 1 / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return (x - 0.3) ** 2

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    study = optuna.create_study(sampler=CoarseToFineSampler(budget=48), pruner=pruner)
    study.optimize(trains, n_trials=48)
    pruned = [trial for trial in study.trials if trial.state.name == "PRUNED"]
    assert len(pruned) > 10
    assert study.best_value < 1e-3


def test_every_kind_of_distribution_gets_values_that_it_allows() -> None:
    def many(trial: optuna.Trial) -> float:
        values = (
            trial.suggest_float("a", 1e-6, 1e-3, log=True),
            trial.suggest_float("b", -1.0, 1.0, step=0.25),
            trial.suggest_int("c", 1, 100, log=True),
            trial.suggest_int("d", 3, 13, step=5),
            trial.suggest_int("e", 0, 10, step=5),
            trial.suggest_int("f", 4, 4),
            trial.suggest_float("g", 2.0, 2.0),
        )
        kind = trial.suggest_categorical("h", [None, True, 1.5, "x"])
        return sum(values) + (kind is None)

    study = studied(40, many)
    # Optuna itself refuses what is not allowed; here the values spread over what is.
    assert {params["b"] for params in asked(study)} > {-1.0, -0.5, 0.5}
    assert {params["d"] for params in asked(study)} == {3, 8, 13}
    assert {params["e"] for params in asked(study)} == {0, 5, 10}
    assert {params["h"] for params in asked(study)} == {None, True, 1.5, "x"}
    assert study.best_params["b"] == -1.0
    assert study.best_params["d"] == 3


def test_a_range_that_is_changed_midway_is_searched_anew() -> None:
    def widened(trial: optuna.Trial) -> float:
        high = 1.0 if trial.number < 20 else 4.0
        x = trial.suggest_float("x", 0.0, high)
        y = trial.suggest_float("y", 0.0, 1.0)
        return (x - 3.0) ** 2 + (y - 0.2) ** 2

    bests = [studied(60, widened, seed=seed).best_value for seed in range(4)]
    assert max(bests) < 0.05

    def narrowed(trial: optuna.Trial) -> float:
        low, high = (0.0, 1.0) if trial.number < 20 else (0.4, 0.6)
        x = trial.suggest_float("x", low, high)
        return (x - 0.5) ** 2

    study = studied(40, narrowed)
    assert study.best_value < 1e-4
    assert all(0.4 <= trial.params["x"] <= 0.6 for trial in study.trials[20:])


def test_hyper_parameters_that_only_some_trials_have() -> None:
    def conditional(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["sgd", "adam"])
        x = trial.suggest_float("x", 0.0, 1.0)
        more = trial.suggest_float("momentum", 0.0, 0.99) if kind == "sgd" else 0.5
        return (x - 0.7) ** 2 + abs(more - 0.9) * 0.1

    study = studied(48, conditional)
    assert abs(study.best_params["x"] - 0.7) < 0.1
    assert len({trial.params["momentum"] for trial in study.trials if "momentum" in trial.params}) > 5


def test_a_space_that_is_exhausted_still_gives_trials() -> None:
    study = studied(12, lambda trial: trial.suggest_int("x", 1, 2) + trial.suggest_categorical("y", [0, 10]))
    assert len(study.trials) == 12
    assert len({tuple(params.values()) for params in asked(study)}) == 4
    assert study.best_value == 1


def test_trials_that_were_enqueued_come_first_and_count() -> None:
    study = optuna.create_study(sampler=CoarseToFineSampler(budget=24))
    study.enqueue_trial({"lr": 0.01, "width": 128, "kind": "a"})
    study.optimize(objective, n_trials=24)
    assert study.trials[0].value == 0.0
    assert np.median([trial.value for trial in study.trials[12:]]) < np.median([t.value for t in study.trials[1:6]])


def test_several_objectives_are_refused() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=CoarseToFineSampler())
    with pytest.raises(ValueError, match="multi-objective"):
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.0), n_trials=1)


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"budget": 8.5}, {"seed": -1}, {"seed": True}])
def test_what_cannot_be_right(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CoarseToFineSampler(**wrong)


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _sampler_class.cache_clear()
    monkeypatch.setitem(sys.modules, "optuna.samplers", None)
    with pytest.raises(MissingExtraError, match=r"mlkit-torch\[search\]"):
        CoarseToFineSampler()
    monkeypatch.undo()
    assert isinstance(CoarseToFineSampler(), optuna.samplers.BaseSampler)
